//! Links and plans as data: `profiles.toml`, and the user's files of the same
//! format.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::error::ProfileError;
use super::level::Level;

/// Bytes that a plan counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Bytes at a level.
    Level(Level),
    /// The payload of each message and N bytes: no IP at all.
    Message(u32),
    /// Messages as AWS IoT Core bills them.
    Broker,
}

/// What is rounded up to the increment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// Nothing.
    #[default]
    Nothing,
    /// The sum of a month.
    Month,
    /// Each session.
    Session,
    /// Each message.
    Message,
}

/// LoRa modulation.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lora {
    /// Spreading factor, 6 to 12.
    pub spreading: u32,
    /// Bandwidth in Hz.
    pub bandwidth: f64,
    /// 1 for a coding rate of 4/5, to 4 for 4/8.
    pub coding: u32,
    /// Symbols of the preamble.
    pub preamble: u32,
}

impl Lora {
    /// Air time in seconds of a frame of a number of bytes, with explicit header and
    /// CRC (SX1261/2 data sheet, 6.1.4).
    ///
    /// ```
    /// use mqttdump::overhead::Lora;
    ///
    /// let sf9 = Lora { spreading: 9, bandwidth: 125_000.0, coding: 1, preamble: 8 };
    /// assert!((sf9.airtime(12) - 0.144384).abs() < 1e-9);
    /// ```
    pub fn airtime(&self, bytes: u64) -> f64 {
        let spreading = f64::from(self.spreading);
        let symbol = spreading.exp2() / self.bandwidth;
        let slow = if symbol >= 0.016 { 1.0 } else { 0.0 };
        let bits = 8.0 * bytes as f64 - 4.0 * spreading + 28.0 + 16.0;
        let groups = (bits / (4.0 * (spreading - 2.0 * slow))).ceil();
        let payload = 8.0 + (groups * f64::from(self.coding + 4)).max(0.0);
        (f64::from(self.preamble) + 4.25 + payload) * symbol
    }
}

/// A link or a plan.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// One line.
    pub about: String,
    counts: String,
    /// Scope of rounding.
    #[serde(default)]
    pub per: Per,
    /// Increment of rounding, in bytes.
    pub increment: Option<u64>,
    /// Seconds after which a session is closed by force.
    pub session: Option<u64>,
    /// Longest message, in bytes.
    pub limit: Option<u64>,
    /// kbit/s up.
    pub up: Option<f64>,
    /// kbit/s down.
    pub down: Option<f64>,
    /// Airtime.
    pub lora: Option<Lora>,
    /// Fraction of time in which sending is allowed.
    pub duty: Option<f64>,
    /// Bytes per frame on the medium that no capture shows.
    pub extra: Option<u64>,
    /// Whether the medium pads frames to Ethernet's shortest, 60 bytes.
    #[serde(default)]
    pub pads: bool,
    /// Bytes a month that are paid for.
    pub plan: Option<u64>,
    /// Source of the constants.
    pub source: String,
    /// Constants that are assumed.
    #[serde(default)]
    pub assumed: Vec<String>,
}

impl Profile {
    /// Bytes that it counts.
    pub fn counts(&self) -> Counts {
        parse_counts(&self.counts).unwrap_or(Counts::Level(Level::L3))
    }

    /// As it is written in its file.
    pub fn counts_text(&self) -> &str {
        &self.counts
    }
}

fn parse_counts(text: &str) -> Option<Counts> {
    match text {
        "broker" => Some(Counts::Broker),
        _ => match text.strip_prefix("message+") {
            Some(more) => more.parse().ok().map(Counts::Message),
            None => Level::parse(text).map(Counts::Level),
        },
    }
}

/// Profiles by name.
pub type Profiles = BTreeMap<String, Profile>;

/// The included profiles.
pub fn profiles() -> Profiles {
    read_profiles(include_str!("profiles.toml")).unwrap_or_default()
}

/// Parses profiles in the format of `profiles.toml`.
///
/// # Errors
///
/// The error and its line.
pub fn read_profiles(text: &str) -> Result<Profiles, ProfileError> {
    let profiles: Profiles = toml::from_str(text)?;
    for (name, profile) in &profiles {
        if parse_counts(&profile.counts).is_none() {
            return Err(ProfileError::Counts {
                profile: name.clone(),
                counts: profile.counts.clone(),
            });
        }
        let rounds =
            profile.per != Per::Nothing || parse_counts(&profile.counts) == Some(Counts::Broker);
        if rounds && profile.increment.is_none_or(|increment| increment == 0) {
            return Err(ProfileError::Increment(name.clone()));
        }
    }
    Ok(profiles)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_can_be_read() {
        let ours = read_profiles(include_str!("profiles.toml")).unwrap();
        assert!(ours.len() >= 14);
        assert_eq!(
            ours["sim-tunnel"].counts(),
            Counts::Level(Level::L3Plus(54))
        );
        for (name, profile) in &ours {
            assert!(!profile.source.is_empty(), "{name}");
        }
    }

    #[test]
    fn mistakes_are_reported() {
        let wrong = |text: &str| read_profiles(text).unwrap_err().to_string();
        assert!(wrong("[a]\nabout=''\nsource=''\ncounts='l9'").contains("counts = \"l9\""));
        assert!(wrong("[a]\nabout=''\nsource=''\ncounts='l3'\nper='month'").contains("increment"));
        assert!(wrong("[a]\nabout=''\nsource=''\ncounts='l3'\nprice=3").contains("unknown field"));
    }
}
