//! The note on a picture whose size is far from those that the model was trained on.

use croquis::diffusion::{Defaults, Generated, Request};

/// The ratio of areas from which a size is far: 9/4, as of sides one and a half times as long. The
/// shapes that models are trained on or used at are nearer: 512x768 of 512x512 is 1.5, and SDXL's
/// sizes for other proportions differ from 1024x1024 by a tenth.
const FAR: [u128; 2] = [9, 4];

/// A picture that starts from another one keeps its composition up to this strength, and so does a
/// second pass.
const KEEPS_COMPOSITION: f32 = 0.75;

/// The note on a picture's size, if it is far from the model's own. With two passes, the size is that
/// of the first. A picture that is `refined` by another model has no second pass.
pub fn note(
    defaults: &Defaults,
    request: &Request,
    generated: &Generated,
    refined: bool,
) -> Option<String> {
    let kept = request.image.as_ref().is_some_and(|image| image.strength <= KEEPS_COMPOSITION);
    let picture = &generated.picture;
    let size = generated.first_size.unwrap_or([picture.width(), picture.height()]);
    let larger = (!kept).then(|| compared(size, [defaults.width, defaults.height])).flatten()?;
    let [[width, height], [usual_width, usual_height]] = [size, [defaults.width, defaults.height]];
    let found = format!(
        "{width}x{height} is far from the {usual_width}x{usual_height} pixels that the model was trained for"
    );
    let no_second_pass = refined || request.image.is_some() || request.hires.is_some();
    Some(match (larger, no_second_pass) {
        (true, false) => {
            format!("{found}: contents may repeat; --hires F enlarges a smaller picture")
        }
        (true, true) => format!("{found}: contents may repeat"),
        (false, _) => format!("{found}: the picture may lack form and detail"),
    })
}

/// Whether a size is far larger than the usual one, or far smaller (`false`); `None` if it is near.
fn compared(size: [usize; 2], usual: [usize; 2]) -> Option<bool> {
    let area = |[width, height]: [usize; 2]| width as u128 * height as u128;
    let (area, usual) = (area(size), area(usual));
    let [more, less] = FAR;
    if area * less >= usual * more {
        return Some(true);
    }
    (area * more <= usual * less).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_compared_by_area() {
        let (sd1, sdxl) = ([512; 2], [1024; 2]);
        for (size, usual, wanted) in [
            ([512, 512], sd1, None),
            ([512, 768], sd1, None),
            ([768, 760], sd1, None),
            ([768, 768], sd1, Some(true)),
            ([1536, 1536], sd1, Some(true)),
            ([384, 384], sd1, None),
            ([336, 336], sd1, Some(false)),
            ([128, 128], sd1, Some(false)),
            ([512, 512], [768; 2], Some(false)),
            ([1536, 640], sdxl, None),
            ([832, 1216], sdxl, None),
            ([512, 512], sdxl, Some(false)),
            ([2048, 2048], sdxl, Some(true)),
        ] {
            assert_eq!(compared(size, usual), wanted, "{size:?} of {usual:?}");
        }
    }
}
