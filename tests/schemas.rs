//! Output for other programs conforms to their schemas.

use std::collections::BTreeSet;

use boon::{Compiler, Schemas};
use serde_json::Value;

use crate::support::program::{project, run};

/// SARIF 2.1.0, by the schema of OASIS: with findings of every verdict, without
/// any, and of several captures.
#[test]
fn schemas_sarif() {
    let path = project("tests/schemas/sarif-2.1.0.json");
    let mut schemas = Schemas::new();
    let schema = Compiler::new()
        .compile(&path.to_string_lossy(), &mut schemas)
        .expect("the schema");
    let mut levels = BTreeSet::new();
    for files in [
        &["fixtures/third-party/mqtt/suricata-mqtt-events-invalid-qos.pcap"][..],
        &["fixtures/captures/seed-3.1-qos2.pcap"],
        &[
            "fixtures/third-party/mqtt/arkime-mqtt_big.pcap",
            "fixtures/captures/bridge.pcap",
            "fixtures/captures/cut.pcap",
        ],
    ] {
        let output = run(&[&["check", "--format", "sarif"], files].concat());
        let log: Value = serde_json::from_str(&output.out).expect("JSON");
        if let Err(error) = schemas.validate(&log, schema) {
            panic!("{files:?}: {error:#}");
        }
        for run in log["runs"].as_array().expect("runs") {
            for result in run["results"].as_array().expect("results") {
                let name = (&result["kind"], &result["level"]);
                levels.insert(format!("{} {}", name.0, name.1));
            }
        }
    }
    // All verdicts were among them.
    assert!(levels.len() >= 4, "{levels:?}");
    // The schema refuses everything but SARIF.
    assert!(
        schemas
            .validate(&serde_json::json!({"version": "2.1.0"}), schema)
            .is_err()
    );
}
