//! [`Known`]: what rows state about the connection that they belong to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::frame::Connection;
use crate::layer::Transport;
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
    pub(super) version_assumed: bool,
    pub(super) transport: Transport,
    /// Its first packet that was reported, and when.
    pub(super) first: (PacketRef, Timestamp),
    /// A frame of it is selected.
    pub(super) is_selected: bool,
    /// Another number whenever anything of this changes, and for each connection.
    pub(super) stamp: u64,
}

/// The connections whose rows are not all written, and the names of the files.
#[derive(Debug)]
pub(super) struct Known {
    files: Vec<Arc<str>>,
    /// For packets of no file.
    no_file: Arc<str>,
    connections: HashMap<u64, Info, foldhash::fast::FixedState>,
    /// How many stamps there were.
    stamps: u64,
    /// All connections are selected.
    selects_all: bool,
}

impl Known {
    pub(super) fn new(files: Vec<String>, selects_all: bool) -> Self {
        Self {
            files: files.into_iter().map(Into::into).collect(),
            no_file: "".into(),
            connections: HashMap::default(),
            stamps: 0,
            selects_all,
        }
    }

    /// The name of the file of a packet.
    pub(super) fn file(&self, packet: PacketRef) -> &Arc<str> {
        let index = usize::try_from(packet.file).ok();
        let file = index.and_then(|index| self.files.get(index));
        file.unwrap_or(&self.no_file)
    }

    /// Takes notice of a connection. Returns its [`Info::stamp`].
    #[inline]
    pub(super) fn update(
        &mut self,
        connection: &Connection,
        packet: PacketRef,
        time: Timestamp,
    ) -> u64 {
        let Self {
            connections,
            stamps,
            selects_all,
            ..
        } = self;
        let info = connections.entry(connection.number).or_insert_with(|| {
            *stamps += 1;
            Info {
                uid: connection.uid().clone(),
                session_uid: None,
                client_id: None,
                server: connection.server,
                version_assumed: connection.version_assumed,
                transport: connection.transport,
                first: (packet, time),
                is_selected: *selects_all,
                stamp: *stamps,
            }
        });
        let is_same = connection.is_in_session(info.session_uid.as_ref())
            && info.client_id.as_deref() == connection.client_id.as_deref()
            && info.version_assumed == connection.version_assumed
            && info.transport == connection.transport;
        if !is_same {
            *stamps += 1;
            info.stamp = *stamps;
            info.session_uid.clone_from(&connection.session_uid);
            info.client_id = connection.client_id.as_deref().map(Into::into);
            info.version_assumed = connection.version_assumed;
            info.transport = connection.transport;
        }
        info.stamp
    }

    /// A frame of a connection is selected.
    pub(super) fn select(&mut self, number: u64) {
        if let Some(info) = self.connections.get_mut(&number) {
            info.is_selected = true;
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
