//! The window of a convolution's filter on its input, shared by `conv2d` and `depthwise`.

use super::Mismatch;

/// A filter that moves over an image with zeros around it; sizes are height and width.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// The image, without the zeros.
    pub input: [usize; 2],
    /// The filter.
    pub kernel: [usize; 2],
    /// Step between output pixels, in input pixels.
    pub stride: usize,
    /// Zeros around the image: top, bottom, left, right.
    pub padding: [usize; 4],
}

impl Window {
    /// The output's size, ⌊(input + padding − kernel) / stride⌋ + 1.
    pub fn output(&self) -> Result<[usize; 2], Mismatch> {
        let [top, bottom, left, right] = self.padding;
        let size = |name: &str, padded: usize, kernel: usize| {
            padded.checked_sub(kernel).map(|room| room / self.stride + 1).ok_or_else(|| {
                Mismatch::new(name, format!("at least {kernel} with padding"), padded)
            })
        };
        Ok([
            size("height", self.input[0] + top + bottom, self.kernel[0])?,
            size("width", self.input[1] + left + right, self.kernel[1])?,
        ])
    }

    /// The taps of output pixel (y, x) that lie on the image: the tap's number `i·KW + j`, and the
    /// row and column of the image under it.
    pub fn taps(self, y: usize, x: usize) -> impl Iterator<Item = (usize, usize, usize)> {
        let ([height, width], [kernel_height, kernel_width]) = (self.input, self.kernel);
        let [top, _, left, _] = self.padding;
        (0..kernel_height * kernel_width).filter_map(move |tap| {
            let in_y = (y * self.stride + tap / kernel_width).checked_sub(top)?;
            let in_x = (x * self.stride + tap % kernel_width).checked_sub(left)?;
            (in_y < height && in_x < width).then_some((tap, in_y, in_x))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_pytorch() {
        let size = |input, kernel, stride, padding| {
            Window { input, kernel, stride, padding }.output().map_err(|mismatch| mismatch.0)
        };
        assert_eq!(size([8, 5], [3, 3], 1, [1; 4]), Ok([8, 5]));
        assert_eq!(size([9, 8], [3, 3], 2, [1; 4]), Ok([5, 4]));
        assert_eq!(size([8, 9], [3, 3], 2, [0, 1, 0, 1]), Ok([4, 4]));
        assert_eq!(size([2, 4], [2, 4], 3, [0; 4]), Ok([1, 1]));
        let message = "width: expected at least 3 with padding, got 2".to_owned();
        assert_eq!(size([3, 1], [3, 3], 1, [0, 0, 1, 0]), Err(message));
    }

    #[test]
    fn taps_beside_the_image_are_left_out() {
        let window = Window { input: [2, 3], kernel: [2, 2], stride: 2, padding: [1, 0, 0, 1] };
        let taps = |y, x| window.taps(y, x).collect::<Vec<_>>();
        assert_eq!(window.output(), Ok([1, 2]));
        assert_eq!(taps(0, 0), [(2, 0, 0), (3, 0, 1)]);
        assert_eq!(taps(0, 1), [(2, 0, 2)]);
    }
}
