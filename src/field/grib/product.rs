//! Section 4: what a field is, at which level, when, of which member.

use std::sync::Arc;

use jiff::civil::DateTime;

use super::{
    Fault,
    octets::{Octets, Scaled},
};
use crate::{contaminant::GribCode, time::UnixTime};

/// What a field holds, apart from where and when: fields that differ in this
/// are different variables.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Quantity {
    pub code: GribCode,
    /// The centre, where the code is one of its own.
    pub local_to: Option<u16>,
    /// Code table 4.238: emission, deposition and the like.
    pub source_or_sink: Option<u8>,
    /// Size range of aerosol particles \[m\].
    pub size: Option<Interval>,
    /// Wavelength of an optical property \[m\].
    pub wavelength: Option<Interval>,
    /// Code table 4.7: ensemble mean, spread, …
    pub derived: Option<u8>,
    /// Code table 4.10: average, accumulation, …
    pub statistic: Option<u8>,
    /// Whether the fields are members of an ensemble.
    pub ensemble: bool,
    pub surface: Surface,
}

/// Code table 4.91 and the limits it speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Interval {
    pub kind: u8,
    pub first: Option<Scaled>,
    pub second: Option<Scaled>,
}

/// The vertical axis that a field's level belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Surface {
    Pressure,
    Hybrid,
    Altitude,
    /// A single level that needs no value: code table 4.5.
    Single(u8),
    /// A level or layer that is no axis of ours, each a variable of its own.
    Other {
        first: (u8, Option<Scaled>),
        second: (u8, Option<Scaled>),
    },
}

/// Half-level coefficients `(a [Pa], b)` from the top.
pub(super) type HalfLevels = Arc<Vec<(f64, f64)>>;

/// One field's section 4.
#[derive(Debug, Clone)]
pub(super) struct Product {
    pub quantity: Quantity,
    /// Pa, hybrid number or metres; 0 for a single level.
    pub level: f64,
    pub valid_s: f64,
    /// Valid time less reference time.
    pub lead_s: f64,
    /// Perturbation number.
    pub member: Option<u8>,
}

/// What sections 0 and 1 say of all fields of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub discipline: u8,
    pub centre: u16,
    pub reference_s: f64,
}

/// Where a product definition template keeps what we read; octets as in WMO's
/// tables. The unit and the time of the forecast lie just before `surface`,
/// ensemble and interval just behind both surfaces.
#[derive(Debug, Clone, Copy)]
struct Layout {
    template: u16,
    surface: usize,
    constituent: bool,
    source_or_sink: bool,
    size: Option<usize>,
    wavelength: Option<usize>,
    ensemble: Ensemble,
    interval: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ensemble {
    None,
    Members,
    Derived,
}

const fn plain(template: u16, ensemble: Ensemble, interval: bool) -> Layout {
    Layout {
        template,
        surface: 23,
        constituent: false,
        source_or_sink: false,
        size: None,
        wavelength: None,
        ensemble,
        interval,
    }
}

const fn chemical(template: u16, ensemble: Ensemble, interval: bool) -> Layout {
    Layout { surface: 25, constituent: true, ..plain(template, ensemble, interval) }
}

const fn aerosol(template: u16, ensemble: Ensemble, interval: bool) -> Layout {
    Layout { surface: 36, size: Some(14), ..chemical(template, ensemble, interval) }
}

const fn optical(template: u16, ensemble: Ensemble) -> Layout {
    Layout { surface: 47, wavelength: Some(25), ..aerosol(template, ensemble, false) }
}

/// The same with the octet for the source or sink before all else.
const fn process(of: Layout) -> Layout {
    let size = if of.size.is_some() { Some(15) } else { None };
    let wavelength = if of.wavelength.is_some() { Some(26) } else { None };
    Layout { surface: of.surface + 1, source_or_sink: true, size, wavelength, ..of }
}

const LAYOUTS: &[Layout] = &[
    plain(0, Ensemble::None, false),
    plain(1, Ensemble::Members, false),
    plain(2, Ensemble::Derived, false),
    plain(8, Ensemble::None, true),
    plain(11, Ensemble::Members, true),
    plain(12, Ensemble::Derived, true),
    chemical(40, Ensemble::None, false),
    chemical(41, Ensemble::Members, false),
    chemical(42, Ensemble::None, true),
    chemical(43, Ensemble::Members, true),
    // 44 has two octets for the forecast time where all others have four.
    Layout { surface: 34, ..aerosol(44, Ensemble::None, false) },
    aerosol(45, Ensemble::Members, false),
    aerosol(46, Ensemble::None, true),
    aerosol(47, Ensemble::Members, true),
    optical(48, Ensemble::None),
    optical(49, Ensemble::Members),
    aerosol(50, Ensemble::None, false),
    plain(60, Ensemble::Members, false),
    process(chemical(76, Ensemble::None, false)),
    process(chemical(77, Ensemble::Members, false)),
    process(chemical(78, Ensemble::None, true)),
    process(chemical(79, Ensemble::Members, true)),
    process(optical(80, Ensemble::None)),
    process(optical(81, Ensemble::Members)),
    process(aerosol(82, Ensemble::None, true)),
    process(aerosol(83, Ensemble::Members, true)),
    process(aerosol(84, Ensemble::Members, true)),
    aerosol(85, Ensemble::Members, true),
];

/// Octets of both fixed surfaces.
const SURFACES: usize = 12;

impl Product {
    /// Reads section 4.
    pub fn parse(section: Octets<'_>, origin: Origin) -> Result<Self, Fault> {
        let template = section.u16(8)?;
        let layout = LAYOUTS.iter().find(|l| l.template == template).ok_or_else(|| Fault::Unsupported {
            what: format!("product definition template 4.{template}"),
            remedy: "expected a field at a level: templates 4.0 to 4.12, 4.40 to 4.50 or 4.76 to 4.85".into(),
        })?;
        let code = GribCode {
            discipline: origin.discipline,
            category: section.u8(10)?,
            number: section.u8(11)?,
            constituent: layout.constituent.then(|| section.u16(12)).transpose()?,
        };
        let (surface, level) = surface(section, layout.surface, code)?;
        let behind = layout.surface + SURFACES;
        let derived = (layout.ensemble == Ensemble::Derived).then(|| section.u8(behind)).transpose()?;
        let member = (layout.ensemble == Ensemble::Members).then(|| section.u8(behind + 1)).transpose()?;
        let start_s = origin.reference_s + forecast_s(section, layout)?;
        let interval = behind
            + match layout.ensemble {
                Ensemble::None => 0,
                Ensemble::Derived => 2,
                Ensemble::Members => 3,
            };
        let valid_s = if layout.interval { date_s(section, interval)? } else { start_s };
        let is_local = [code.discipline, code.category, code.number].iter().any(|&part| part >= 192);
        Ok(Self {
            quantity: Quantity {
                code,
                local_to: is_local.then_some(origin.centre),
                source_or_sink: layout.source_or_sink.then(|| section.u8(14)).transpose()?.filter(|&p| p != u8::MAX),
                size: interval_of(section, layout.size)?,
                wavelength: interval_of(section, layout.wavelength)?,
                derived,
                statistic: layout.interval.then(|| section.u8(interval + 12)).transpose()?,
                ensemble: layout.ensemble == Ensemble::Members,
                surface,
            },
            level,
            valid_s,
            lead_s: valid_s - origin.reference_s,
            member,
        })
    }
}

/// The coordinate values at the end of section 4: all a, then all b. Their
/// number is even, one pair each half level.
pub(super) fn half_levels(section: Octets<'_>) -> Result<Option<Vec<(f64, f64)>>, Fault> {
    let n = usize::from(section.u16(6)?);
    if n == 0 {
        return Ok(None);
    }
    let start = section.len().checked_sub(4 * n).filter(|&start| start >= 9).ok_or_else(|| {
        Fault::Corrupt(format!("section 4 of {} bytes cannot hold {n} coordinate values", section.len()))
    })?;
    let values = (0..n).map(|i| section.f32(start + 1 + 4 * i)).collect::<Result<Vec<_>, _>>()?;
    let (a, b) = values.split_at(n / 2);
    let usable = n % 2 == 0 && n >= 4 && values.iter().all(|v| v.is_finite());
    Ok(usable.then(|| a.iter().zip(b).map(|(&a, &b)| (f64::from(a), f64::from(b))).collect()))
}

/// Year, month, day, hour, minute and second from `octet`, as seconds since 1970.
pub(super) fn date_s(section: Octets<'_>, octet: usize) -> Result<f64, Fault> {
    let year = section.u16(octet)?;
    let parts = (2..7).map(|i| section.u8(octet + i)).collect::<Result<Vec<_>, _>>()?;
    let [month, day, hour, minute, second] = parts[..] else { return Err(Fault::Corrupt("date without parts".into())) };
    let signed = |part: u8| i8::try_from(part).unwrap_or(i8::MAX);
    let civil = DateTime::new(
        i16::try_from(year).unwrap_or(i16::MAX),
        signed(month),
        signed(day),
        signed(hour),
        signed(minute),
        signed(second),
        0,
    );
    let stamp = civil.and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC));
    stamp
        .map(|zoned| UnixTime::from(zoned.timestamp()).0)
        .map_err(|_| Fault::Corrupt(format!("no such date: {year}-{month}-{day} {hour}:{minute}:{second}")))
}

/// Forecast time \[s\]; the unit is code table 4.4.
fn forecast_s(section: Octets<'_>, layout: &Layout) -> Result<f64, Fault> {
    let (unit, steps) = if layout.template == 44 {
        (section.u8(layout.surface - 3)?, i32::from(section.i16(layout.surface - 2)?))
    } else {
        (section.u8(layout.surface - 5)?, section.i32(layout.surface - 4)?)
    };
    let seconds = match unit {
        0 => 60.0,
        1 => 3600.0,
        2 => 86_400.0,
        10 => 3.0 * 3600.0,
        11 => 6.0 * 3600.0,
        12 => 12.0 * 3600.0,
        13 => 1.0,
        // Without a unit, an analysis still has its time.
        255 if steps == 0 => 0.0,
        other => {
            return Err(Fault::Unsupported {
                what: format!("forecast time in unit {other} of code table 4.4"),
                remedy: "expected seconds, minutes, hours (1, 3, 6, 12) or days".into(),
            });
        }
    };
    Ok(f64::from(steps) * seconds)
}

/// The level's axis and its place on it; code table 4.5.
fn surface(section: Octets<'_>, octet: usize, code: GribCode) -> Result<(Surface, f64), Fault> {
    let first = (section.u8(octet)?, section.scaled(octet + 1)?);
    let second = (section.u8(octet + 6)?, section.scaled(octet + 7)?);
    let alone = second.0 == 255;
    let value = first.1.map_or(0.0, Scaled::value);
    Ok(match first.0 {
        // ECMWF stores the logarithm of surface pressure at model level 1.
        105 | 119 if (code.discipline, code.category, code.number) == (0, 3, 25) => (Surface::Single(1), 0.0),
        100 if alone && value > 0.0 => (Surface::Pressure, value),
        105 | 119 if alone || second.0 == first.0 => {
            if value.fract() != 0.0 || !(0.0..=65_535.0).contains(&value) {
                return Err(Fault::Corrupt(format!("hybrid level {value}, expected a whole number")));
            }
            (Surface::Hybrid, value)
        }
        102 if alone => (Surface::Altitude, value),
        single @ (1 | 10 | 101 | 200) if alone || second.0 == 8 => (Surface::Single(single), 0.0),
        // Without a value, the scale factor means nothing.
        _ => {
            let plain = |(kind, value): (u8, Option<Scaled>)| (kind, value.filter(|_| kind != 255));
            (Surface::Other { first: plain(first), second: plain(second) }, 0.0)
        }
    })
}

/// `None` where the interval is missing, or says nothing: ECMWF fills the
/// sizes of whole species with "smaller than 0".
fn interval_of(section: Octets<'_>, octet: Option<usize>) -> Result<Option<Interval>, Fault> {
    let Some(octet) = octet else { return Ok(None) };
    let kind = section.u8(octet)?;
    let (first, second) = (section.scaled(octet + 1)?, section.scaled(octet + 6)?);
    let nothing = |limit: Option<Scaled>| limit.is_none_or(|l| l.value == 0);
    if kind == 255 || (nothing(first) && nothing(second)) {
        return Ok(None);
    }
    // Limits that the kind does not speak of are filled with anything.
    Ok(Some(match kind {
        0 | 3 | 5 | 8 | 11 => Interval { kind, first, second: None },
        1 | 4 | 6 | 9 => Interval { kind, first: None, second },
        _ => Interval { kind, first, second },
    }))
}
