//! The interfaces that libpcap lists, for `-D`.

use std::net::IpAddr;

use pcap::{ConnectionStatus, Device};

/// An interface in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name for `-i`.
    pub name: String,
    /// Its description, where libpcap has one.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its flags, in tcpdump's words: `Up`, `Running`, `Loopback`, `Wireless`,
    /// `Connected` …
    pub state: Vec<&'static str>,
}

/// Why an interface is not known.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InterfaceError {
    /// libpcap cannot list them, for this reason.
    #[error("{0}")]
    List(String),
    /// None has that number; there are so many.
    #[error("there are {0} interfaces (see -D)")]
    Number(usize),
}

/// Interfaces that can be captured on. Their number, from 1, is accepted in
/// place of the name.
///
/// # Errors
///
/// The error of libpcap.
pub fn interfaces() -> Result<Vec<Listed>, InterfaceError> {
    let devices = Device::list().map_err(|error| InterfaceError::List(super::text(error)))?;
    Ok(devices.into_iter().map(Listed::from).collect())
}

/// The name of the interface with this number, which packets of `any` (Linux) carry.
pub fn interface_name(index: u32) -> Option<String> {
    #[cfg(target_os = "linux")]
    {
        use rustix::net::{AddressFamily, SocketType, netdevice, socket};
        // Any socket will do.
        let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).ok()?;
        netdevice::index_to_name(socket, index).ok()
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = index;
        None
    }
}

/// The name of an interface, which may be given as its number in the list.
///
/// # Errors
///
/// No interface has that number.
pub fn interface_given(given: &str) -> Result<String, InterfaceError> {
    let Ok(number) = given.parse::<usize>() else {
        return Ok(given.to_owned());
    };
    let devices = interfaces()?;
    // An interface may be named 7.
    if devices.iter().any(|device| device.name == given) {
        return Ok(given.to_owned());
    }
    let found = number.checked_sub(1).and_then(|at| devices.get(at));
    found
        .map(|device| device.name.clone())
        .ok_or(InterfaceError::Number(devices.len()))
}

impl From<Device> for Listed {
    fn from(device: Device) -> Self {
        let flags = &device.flags;
        let connected = match flags.connection_status {
            ConnectionStatus::Connected if flags.is_wireless() => Some("Associated"),
            ConnectionStatus::Connected => Some("Connected"),
            ConnectionStatus::Disconnected if flags.is_wireless() => Some("Not associated"),
            ConnectionStatus::Disconnected => Some("Disconnected"),
            ConnectionStatus::Unknown | ConnectionStatus::NotApplicable => None,
        };
        let state = [
            flags.is_up().then_some("Up"),
            flags.is_running().then_some("Running"),
            flags.is_loopback().then_some("Loopback"),
            flags.is_wireless().then_some("Wireless"),
            connected,
        ];
        Self {
            state: state.into_iter().flatten().collect(),
            addresses: device.addresses.iter().map(|a| a.addr).collect(),
            description: device.desc,
            name: device.name,
        }
    }
}
