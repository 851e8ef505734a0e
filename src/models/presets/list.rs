//! A list of weights under construction, with helpers for the common layers.

use std::collections::BTreeMap;

/// Weight shapes by name, as PyTorch saves them.
#[derive(Default)]
pub(super) struct WeightShapes(pub BTreeMap<String, Vec<usize>>);

impl WeightShapes {
    pub fn add(&mut self, name: String, shape: &[usize]) {
        self.0.insert(name, shape.to_vec());
    }

    pub fn norm(&mut self, path: &str, channels: usize) {
        self.add(format!("{path}.weight"), &[channels]);
        self.add(format!("{path}.bias"), &[channels]);
    }

    pub fn linear(&mut self, path: &str, inputs: usize, outputs: usize) {
        self.add(format!("{path}.weight"), &[outputs, inputs]);
        self.add(format!("{path}.bias"), &[outputs]);
    }

    /// Adds a 1×1 convolution.
    pub fn pointwise(&mut self, path: &str, inputs: usize, outputs: usize) {
        self.add(format!("{path}.weight"), &[outputs, inputs, 1, 1]);
        self.add(format!("{path}.bias"), &[outputs]);
    }

    /// Adds a 3×3 convolution, plain or separable (depthwise and pointwise).
    pub fn conv(&mut self, path: &str, inputs: usize, outputs: usize, separable: bool) {
        if separable {
            self.add(format!("{path}.depthwise.weight"), &[inputs, 1, 3, 3]);
            self.pointwise(&format!("{path}.pointwise"), inputs, outputs);
        } else {
            self.add(format!("{path}.weight"), &[outputs, inputs, 3, 3]);
            self.add(format!("{path}.bias"), &[outputs]);
        }
    }

    /// Adds a ResBlock; with `time_width`, also the projection of the time embedding.
    pub fn resnet(
        &mut self,
        path: &str,
        [inputs, outputs]: [usize; 2],
        time_width: Option<usize>,
        separable: bool,
    ) {
        self.norm(&format!("{path}.norm1"), inputs);
        self.conv(&format!("{path}.conv1"), inputs, outputs, separable);
        if let Some(width) = time_width {
            self.linear(&format!("{path}.time_emb_proj"), width, outputs);
        }
        self.norm(&format!("{path}.norm2"), outputs);
        self.conv(&format!("{path}.conv2"), outputs, outputs, separable);
        if inputs != outputs {
            self.pointwise(&format!("{path}.conv_shortcut"), inputs, outputs);
        }
    }
}
