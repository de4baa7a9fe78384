//! How the pixels on both sides of a convolution lie: which of the input are under the kernel of one of the output.

use super::Geometry;

/// Sizes of the images on both sides of a convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    pub(super) height: usize,
    pub(super) width: usize,
    pub(super) out_height: usize,
    pub(super) out_width: usize,
}

impl View {
    /// Output pixels of an image.
    pub(super) fn pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// The other direction.
    pub(super) fn turned(self) -> Self {
        Self {
            height: self.out_height,
            width: self.out_width,
            out_height: self.height,
            out_width: self.width,
        }
    }

    /// Image, line and column of an output pixel.
    pub(super) fn place(&self, pixel: usize) -> [usize; 3] {
        let (line, ox) = (pixel / self.out_width, pixel % self.out_width);
        [line / self.out_height, line % self.out_height, ox]
    }

    /// Calls `visit(tap, input pixel)` for the taps of an output pixel that fall inside the image.
    pub(super) fn for_taps(
        &self,
        geo: &Geometry,
        pixel: usize,
        mut visit: impl FnMut(usize, usize),
    ) {
        let [image, oy, ox] = self.place(pixel);
        for ky in 0..geo.kernel[0] {
            let iy = (oy * geo.stride[0] + ky * geo.dilation[0]).wrapping_sub(geo.padding.top);
            if iy >= self.height {
                continue;
            }
            for kx in 0..geo.kernel[1] {
                let ix = (ox * geo.stride[1] + kx * geo.dilation[1]).wrapping_sub(geo.padding.left);
                if ix < self.width {
                    visit(ky * geo.kernel[1] + kx, (image * self.height + iy) * self.width + ix);
                }
            }
        }
    }
}
