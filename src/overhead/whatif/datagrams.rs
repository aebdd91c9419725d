//! Without TCP: the same messages as MQTT-SN or CoAP over UDP.

use super::super::amount::{Amount, Bill};
use super::super::term::Term;
use super::model::Model;
use crate::frame::{Direction, PerDirection};

impl Model<'_> {
    /// Headers of a UDP datagram on the same link.
    pub(super) fn datagram(&self, direction: Direction) -> Amount {
        const UDP: f64 = 8.0;
        let headers = &self.connection.headers[direction];
        let n = headers.packets.max(1) as f64;
        let tcp = headers.tcp as f64 / n - self.header_less[direction];
        let mut header = self.header(direction);
        header.l2 += UDP - tcp;
        header.l3 += UDP - tcp;
        header
    }

    /// Clears the bill: no bytes of TCP and MQTT are left.
    pub(super) fn replace(&mut self) {
        self.bill = Bill::default();
        self.cycle = PerDirection::default();
        self.other_writes = PerDirection::default();
    }

    pub(super) fn send(&mut self, term: Term, direction: Direction, n: f64, len: f64, app: f64) {
        let header = self.datagram(direction);
        self.send_with(header, term, direction, n, len, app);
    }

    /// The same, with headers of [`Self::datagram`].
    fn send_with(
        &mut self,
        header: Amount,
        term: Term,
        direction: Direction,
        n: f64,
        len: f64,
        app: f64,
    ) {
        let datagram = Amount {
            app,
            ..Amount::mqtt(len)
        };
        self.add(term, direction, (header + datagram) * n);
    }

    pub(super) fn mqtt_sn(&mut self) {
        self.replace();
        let groups = std::mem::take(&mut self.groups);
        let mut topics: Vec<(u32, Direction, usize)> = Vec::new();
        for group in &groups {
            let (along, against) = (group.key.direction, group.key.direction.reversed());
            let headers = self.datagram(along);
            for &(shape, n) in group.shapes.iter() {
                let payload = f64::from(shape.payload);
                let header = if payload > 248.0 { 9.0 } else { 7.0 };
                let len = header + payload;
                self.send_with(headers, Term::Message, along, n as f64, len, payload);
            }
            match group.qos {
                1 => self.send(Term::Message, against, group.n, 7.0, 0.0),
                2 => {
                    self.send(Term::Message, against, 2.0 * group.n, 4.0, 0.0);
                    self.send(Term::Message, along, group.n, 4.0, 0.0);
                }
                _ => {}
            }
            let name = &self.stage.account.topics[group.key.topic as usize].name;
            topics.push((group.key.topic, along, name.len()));
        }
        topics.sort_unstable();
        topics.dedup();
        for (_, direction, len) in topics {
            self.send(Term::Connection, direction, 1.0, 6.0 + len as f64, 0.0);
            self.send(Term::Connection, direction.reversed(), 1.0, 7.0, 0.0);
        }
        if self.connection.is_from_start {
            let client_id = self.connection.client_id as f64;
            self.send(Term::Connection, Direction::Up, 1.0, 6.0 + client_id, 0.0);
            self.send(Term::Connection, Direction::Down, 1.0, 3.0, 0.0);
            self.send(Term::Connection, Direction::Up, 1.0, 2.0, 0.0);
            self.send(Term::Connection, Direction::Down, 1.0, 2.0, 0.0);
        }
        for direction in Direction::ALL {
            self.send(Term::Time, direction, self.pings, 2.0, 0.0);
            self.cycle[direction] = self.datagram(direction) + Amount::mqtt(2.0);
        }
        self.groups = groups;
    }

    pub(super) fn coap(&mut self) {
        /// Bytes of a token that distinguishes concurrent requests.
        const TOKEN: f64 = 2.0;
        self.replace();
        let groups = std::mem::take(&mut self.groups);
        for group in &groups {
            let (along, against) = (group.key.direction, group.key.direction.reversed());
            let name = &self.stage.account.topics[group.key.topic as usize].name;
            // One option for each level; a longer one has an extended length.
            let options: usize = name
                .split(|&byte| byte == b'/')
                .map(|level| level.len() + if level.len() > 12 { 2 } else { 1 })
                .sum();
            let headers = self.datagram(along);
            for &(shape, n) in group.shapes.iter() {
                let payload = f64::from(shape.payload);
                let len = 4.0 + TOKEN + options as f64 + 1.0 + payload;
                self.send_with(headers, Term::Message, along, n as f64, len, payload);
            }
            if group.qos > 0 {
                self.send(Term::Message, against, group.n, 4.0 + TOKEN, 0.0);
            }
        }
        self.groups = groups;
        self.pings = 0.0;
    }
}
