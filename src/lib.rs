//! MQTT traffic, read out of packet captures.
pub mod analysis;
pub mod capture;
pub mod engine;
pub mod event;
pub mod flow;
pub mod frame;
pub mod layer;
pub mod limits;
pub mod link;
pub mod mqtt;
pub mod net;
pub mod overhead;
pub mod packet;
pub mod report;
pub mod rules;
pub mod select;
pub mod time;
