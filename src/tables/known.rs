//! [`Known`]: what rows state about the connection that they belong to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::frame::Connection;
use crate::net::Endpoint;
use crate::packet::PacketRef;
use crate::time::Timestamp;

/// A connection, as far as known.
#[derive(Clone, Debug)]
pub(super) struct Info {
    pub(super) uid: Arc<str>,
    pub(super) session_uid: Option<Arc<str>>,
    pub(super) client_id: Option<Arc<[u8]>>,
    pub(super) server: Endpoint,
    /// Its first packet that was reported, and when.
    pub(super) first: (PacketRef, Timestamp),
}

/// The connections whose rows are not all written, and the names of the files.
#[derive(Debug)]
pub(super) struct Known {
    files: Vec<String>,
    connections: HashMap<u64, Info, foldhash::fast::FixedState>,
}

impl Known {
    pub(super) fn new(files: Vec<String>) -> Self {
        Self {
            files,
            connections: HashMap::default(),
        }
    }

    /// The name of the file of a packet.
    pub(super) fn file(&self, packet: PacketRef) -> &str {
        let index = usize::try_from(packet.file).ok();
        let file = index.and_then(|index| self.files.get(index));
        file.map_or("", String::as_str)
    }

    /// Takes notice of a connection.
    #[inline]
    pub(super) fn update(&mut self, connection: &Connection, packet: PacketRef, time: Timestamp) {
        let info = self
            .connections
            .entry(connection.number)
            .or_insert_with(|| Info {
                uid: connection.uid().clone(),
                session_uid: None,
                client_id: None,
                server: connection.server,
                first: (packet, time),
            });
        if info.session_uid != connection.session_uid {
            info.session_uid.clone_from(&connection.session_uid);
        }
        if info.client_id.as_deref() != connection.client_id.as_deref() {
            info.client_id = connection.client_id.as_deref().map(Into::into);
        }
    }

    pub(super) fn get(&self, number: u64) -> Option<&Info> {
        self.connections.get(&number)
    }

    /// No more rows of this connection follow.
    pub(super) fn remove(&mut self, number: u64) {
        self.connections.remove(&number);
    }
}
