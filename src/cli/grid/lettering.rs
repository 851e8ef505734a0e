//! Letters on a picture, by a font of 8×8 pixels.

use font8x8::UnicodeFonts;

/// Width and height of a character in the font's pixels.
const SIDE: usize = 8;

/// Height of a line in the font's pixels.
pub const LINE: usize = 10;

/// Width of a character in the font's pixels.
pub const CHARACTER: usize = SIDE;

/// Rows of RGB pixels that are drawn on.
pub struct Canvas {
    pub width: usize,
    pub height: usize,
    pub rgb: Vec<u8>,
}

impl Canvas {
    /// Draws a line of text in black; `scale` is the side of a font's pixel. What lies outside is cut off.
    pub fn write(&mut self, text: &str, [x, y]: [usize; 2], scale: usize) {
        for (index, character) in text.chars().enumerate() {
            let left = x + index * SIDE * scale;
            for (row, bits) in glyph(character).into_iter().enumerate() {
                for column in (0..SIDE).filter(|column| bits >> column & 1 == 1) {
                    self.fill([left + column * scale, y + row * scale], [scale; 2]);
                }
            }
        }
    }

    /// Makes a rectangle black.
    fn fill(&mut self, [left, top]: [usize; 2], [width, height]: [usize; 2]) {
        let (right, bottom) = ((left + width).min(self.width), (top + height).min(self.height));
        for y in top..bottom {
            for x in left..right {
                let at = 3 * (y * self.width + x);
                self.rgb[at..at + 3].fill(0);
            }
        }
    }
}

/// The rows of a character's pixels, the leftmost in the lowest bit; a question mark where the font
/// lacks it.
fn glyph(character: char) -> [u8; SIDE] {
    let fonts: [&dyn UnicodeFonts; 4] = [
        &font8x8::BASIC_FONTS,
        &font8x8::LATIN_FONTS,
        &font8x8::GREEK_FONTS,
        &font8x8::HIRAGANA_FONTS,
    ];
    let find = |character| fonts.iter().find_map(|font| font.get(character));
    find(character).or_else(|| find('?')).unwrap_or_default()
}

/// A text in lines of some characters, broken at spaces where it can be; the last line ends in `..` if
/// there were more of them.
pub fn wrapped(text: &str, characters: usize, lines: usize) -> Vec<String> {
    let (characters, lines) = (characters.max(1), lines.max(1));
    let mut all: Vec<String> = vec![String::new()];
    for word in text.split_whitespace() {
        let mut rest: Vec<char> = word.chars().collect();
        while !rest.is_empty() {
            let last = all.last_mut().map(|last| (last.chars().count(), last));
            let Some((used, last)) = last else { break };
            let space = usize::from(used > 0);
            let fits = used + space + rest.len() <= characters;
            if used > 0 && !fits {
                all.push(String::new());
                continue;
            }
            let part: Vec<char> = rest.drain(..rest.len().min(characters)).collect();
            last.extend(std::iter::repeat_n(' ', space).chain(part));
        }
    }
    if all.len() > lines {
        all.truncate(lines);
        if let Some(last) = all.last_mut() {
            let kept = last.chars().take(characters.saturating_sub(2)).collect::<String>();
            *last = kept + &".."[..characters.min(2)];
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_wrapped_and_shortened() {
        for (text, characters, lines, wanted) in [
            ("steps 10", 8, 3, &["steps 10"][..]),
            ("guidance 7", 8, 3, &["guidance", "7"]),
            ("guidance-scale 7.5", 8, 3, &["guidance", "-scale", "7.5"]),
            ("prompt a red apple on a leaf", 8, 3, &["prompt a", "red", "apple .."]),
            ("abcdefghij", 4, 2, &["abcd", "ef.."]),
            ("", 4, 2, &[""]),
            ("abc", 1, 1, &["."]),
            ("é苹果 ü", 4, 1, &["é苹.."]),
        ] {
            assert_eq!(wrapped(text, characters, lines), wanted, "{text}");
        }
    }

    #[test]
    fn letters_are_drawn_and_cut_off_at_the_border() {
        let mut canvas = Canvas { width: 20, height: 20, rgb: vec![255; 1200] };
        canvas.write("I", [2, 2], 1);
        // The serifs and the stem of an I.
        let row = |canvas: &Canvas, y: usize| -> String {
            (0..10).map(|x| if canvas.rgb[3 * (20 * y + x)] == 0 { '#' } else { '.' }).collect()
        };
        assert_eq!(row(&canvas, 2), "...####...");
        assert_eq!(row(&canvas, 4), "....##....");
        canvas.write("WWWW\u{1F600}", [10, 15], 3);
        assert_eq!(glyph('\u{1F600}'), glyph('?'));
        assert_ne!(glyph('ä'), glyph('?'));
    }
}
