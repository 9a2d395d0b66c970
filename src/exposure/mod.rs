//! What is asked of a flight's path, and what is answered.

pub mod flow;
pub mod program;
pub mod request;

use std::sync::Arc;

use crate::trajectory::phase::Phase;

/// One answer: what one flight met of one contaminant in one phase.
///
/// `None` is never zero: it says that there is no figure, because nothing was
/// sampled or because it was not asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Exposure {
    /// The flight's name.
    pub flight_id: Arc<str>,
    /// The contaminant's name in the catalogue or the data-set file.
    pub contaminant: Arc<str>,
    /// Which part of the flight.
    pub phase: Phase,
    /// Member of the ensemble or statistic over its members (`mean`, `p50`);
    /// none for a deterministic field.
    pub member: Option<Arc<str>>,
    /// First instant of the phase \[s since 1970\].
    pub start_s: f64,
    /// Last instant of the phase \[s since 1970\].
    pub end_s: f64,
    /// Time spent in the phase \[s\]; less than `end − start` where the phase
    /// was left and entered again.
    pub duration_s: f64,
    /// Part of `duration_s` for which the field gave a value, 0 to 1.
    pub sampled_fraction: f64,
    /// ∫ C dt over the time sampled \[g s m⁻³\].
    pub dosage_g_s_m3: Option<f64>,
    /// Dosage over the time sampled \[mg m⁻³\].
    pub mean_mg_m3: Option<f64>,
    /// The largest concentration, and where it was met.
    pub peak: Option<Peak>,
    /// Largest mean over a window that was sampled throughout \[mg m⁻³\].
    pub rolling_peak_mg_m3: Option<f64>,
    /// Length of that window \[s\].
    pub rolling_window_s: Option<f64>,
    /// ∫ χ ṁ dt: mass through the engines' cores \[g\].
    pub dose_g: Option<f64>,
    /// Seconds at or above each threshold on a concentration or mixing ratio.
    pub time_above_s: Vec<(Arc<str>, Option<f64>)>,
    /// Probability over the ensemble's members (0 or 1 without an ensemble)
    /// of reaching each threshold: of a concentration at any time, of a dosage.
    pub exceedance: Vec<(Arc<str>, Option<f64>)>,
}

/// The largest concentration along a path.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// \[mg m⁻³\]
    pub mg_m3: f64,
    /// \[s since 1970\]
    pub time_s: f64,
    /// Degrees east.
    pub longitude_deg: f64,
    /// Degrees north.
    pub latitude_deg: f64,
    /// \[hPa\]
    pub pressure_hpa: f64,
}
