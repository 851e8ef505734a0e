//! The quantiles of the beta distribution with both parameters 0.6, of the beta spacing: Lee et al.,
//! *Beta sampling is all you need*, arXiv:2407.12173.

/// Both parameters of the distribution.
const SHAPE: f64 = 0.6;

/// The beta function B(0.6, 0.6) = Γ(0.6)²/Γ(1.2).
const NORMALISATION: f64 = 2.4153442080024723;

/// The value below which a share `share` of the distribution lies, for a share from 0 to 1.
pub(super) fn beta_quantile(share: f64) -> f64 {
    if share > 0.5 {
        return 1.0 - beta_quantile(1.0 - share); // the distribution is symmetric
    }
    let (mut low, mut high) = (0.0, 0.5);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if share_below(middle) < share { low = middle } else { high = middle }
    }
    if share > 0.0 { (low + high) / 2.0 } else { 0.0 }
}

/// The share of the distribution below x, for x up to ½: the hypergeometric series of the incomplete
/// beta function (Abramowitz and Stegun, 26.5.4), whose terms fall by x.
fn share_below(x: f64) -> f64 {
    let (mut sum, mut term) = (0.0, 1.0);
    for n in 0..60 {
        sum += term;
        term *= x * (2.0 * SHAPE + f64::from(n)) / (SHAPE + f64::from(n + 1));
    }
    (x * (1.0 - x)).powf(SHAPE) / (SHAPE * NORMALISATION) * sum
}

#[cfg(test)]
mod tests {
    use super::beta_quantile;

    /// By `scipy.stats.beta.ppf`.
    #[test]
    fn quantiles_are_those_of_scipy() {
        let quantiles = [
            (0.0, 0.0),
            (0.001, 1.855873851745199e-05),
            (0.05, 0.012554456873611399),
            (0.25, 0.17568037865269498),
            (0.4, 0.3627009907532143),
            (0.5, 0.5000000000000001),
            (0.8, 0.8770782495416671),
            (0.99, 0.9991387611784571),
            (1.0, 1.0),
        ];
        for (share, quantile) in quantiles {
            let got = beta_quantile(share);
            assert!((got - quantile).abs() < 1e-13, "{share}: {got}");
        }
    }
}
