//! Writes what the harness builds to files, for a look with other programs:
//!
//! ```sh
//! EXPORT=/tmp/export cargo test export -- --ignored
//! capinfos /tmp/export/*; tshark -r /tmp/export/link-Sll2-v4.pcap
//! ```

use std::path::PathBuf;

use crate::splits::everything;
use crate::support::files::{self, Format};
use crate::support::stack::{Layer, Link, Stack};
use crate::support::wire::Wire;

#[test]
#[ignore = "writes files for other programs to read"]
fn export() {
    let folder = PathBuf::from(std::env::var_os("EXPORT").expect("EXPORT names a folder"));
    std::fs::create_dir_all(&folder).expect("the folder can be made");
    let write = |name: String, bytes: &[u8]| {
        std::fs::write(folder.join(name), bytes).expect("the folder can be written");
    };
    let pcap = Format::Pcap {
        nano: false,
        big: false,
    };
    let v4 = Wire::new(&everything());
    let v6 = v4.clone().over_ipv6();
    for (ip, wire) in [("v4", &v4), ("v6", &v6)] {
        for link in Link::ALL {
            let packets = wire.packets(&Stack::link(link));
            write(format!("link-{link:?}-{ip}.pcap"), &pcap.write(&packets));
        }
        for layer in Layer::ALL {
            let packets = wire.packets(&Stack::layers(&[layer]));
            write(format!("layer-{layer:?}-{ip}.pcap"), &pcap.write(&packets));
        }
        for size in [8, 24, 512] {
            let stack = Stack {
                fragment: Some(size),
                ..Stack::default()
            };
            let packets = wire.packets(&stack);
            write(format!("fragments-{size}-{ip}.pcap"), &pcap.write(&packets));
        }
    }
    let packets = v4.packets(&Stack::default());
    for (n, format) in Format::ALL.into_iter().enumerate() {
        let extension = match format {
            Format::Pcapng { .. } => "pcapng",
            _ => "pcap",
        };
        write(format!("format-{n}.{extension}"), &format.write(&packets));
    }
    let file = pcap.write(&packets);
    write("format.pcap.gz".into(), &files::gz(&file));
    write("format.pcap.zst".into(), &files::zst(&file));
    write("format.pcap.lz4".into(), &files::lz4(&file));
}
