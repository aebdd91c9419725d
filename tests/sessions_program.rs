//! `mqttdump sessions` as a program: selection, transports, formats, the page.

use std::process::Command;

use boon::{Compiler, Schemas};
use serde_json::Value;

use crate::support::program::{Folder, project, run};

/// The fixtures of `fixtures/sessions`, to be typed.
fn fixtures() -> Vec<String> {
    let entries = std::fs::read_dir(project("fixtures/sessions")).expect("the folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name())
        .map(|name| format!("fixtures/sessions/{}", name.to_string_lossy()))
        .filter(|name| name.ends_with(".pcap"))
        .collect();
    names.sort();
    names
}

fn objects(args: &[&str]) -> Vec<Value> {
    let out = run(&[&["sessions", "--format", "ndjson"], args].concat()).clean();
    out.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

/// The client identifiers of some connections.
fn clients(objects: &[Value]) -> Vec<&str> {
    objects
        .iter()
        .map(|object| object["client_id"].as_str().unwrap_or("?"))
        .collect()
}

/// Every object matches `docs/formats.md`, with no other keys.
#[test]
fn sessions_ndjson_keeps_its_schema() {
    for (name, option) in [("sessions", None), ("deliveries", Some("--deliveries"))] {
        let path = project(&format!("tests/schemas/{name}.json"));
        let mut schemas = Schemas::new();
        let schema = Compiler::new()
            .compile(&path.to_string_lossy(), &mut schemas)
            .expect("the schema");
        let mut count = 0;
        let more = [
            "fixtures/captures/midstream.pcap",
            "fixtures/captures/lost.pcap",
            "fixtures/captures/ipv6.pcap",
            "fixtures/captures/will.pcap",
            "fixtures/transport/tls12-aria.pcap",
        ];
        for file in fixtures().iter().map(String::as_str).chain(more) {
            let args: Vec<&str> = option.into_iter().chain([file]).collect();
            for object in objects(&args) {
                if let Err(error) = schemas.validate(&object, schema) {
                    panic!("{file}: {object}\n{error:#}");
                }
                count += 1;
            }
        }
        assert!(count > 100, "{name}: {count} objects");
        let other = serde_json::json!({"connection": 1});
        assert!(schemas.validate(&other, schema).is_err());
    }
}

#[test]
fn sessions_are_selected() {
    let file = "fixtures/sessions/deliveries.pcap";
    let found = |args: &[&str]| -> Vec<String> {
        let objects = objects(&[args, &[file]].concat());
        clients(&objects).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(found(&["--client", "sender-1"]), ["sender-1"]);
    assert_eq!(found(&["--connection", "3,4"]), ["wild", "exact"]);
    assert_eq!(
        found(&["--topic", "plant/2/other"]),
        ["offline", "wild", "sender-2", "offline"]
    );
    assert_eq!(
        found(&[
            "-Y",
            "mqtt.topic == \"plant/1/temp\" and mqtt.qos == 0",
            "--type",
            "publish"
        ]),
        ["wild", "exact", "share-2", "share-1", "sender-1"]
            .into_iter()
            .filter(|id| found(&["-Y", "mqtt.msgtype == 3 and mqtt.qos == 0"])
                .contains(&(*id).to_owned()))
            .collect::<Vec<_>>()
    );
    assert_eq!(
        found(&["-Y", "mqtt.msgtype == 14", "--client", "keeper"]),
        ["keeper"]
    );
    // Whether an exchange is acknowledged is known only at its end.
    assert_eq!(
        found(&["-Y", "mqtt.msgtype == 3 and mqtt.qos == 2 and acked"]),
        ["sender-2"]
    );
    let nothing = run(&["sessions", "--client", "sender", file]);
    assert_eq!(nothing.code, Some(2));
    assert!(
        nothing.err.contains("did you mean sender-1?"),
        "{}",
        nothing.err
    );
    let nothing = run(&["sessions", "-Y", "mqtt.topic == \"x\"", file]);
    assert_eq!(nothing.code, Some(0));
    assert!(
        nothing.err.contains("-Y selects no message"),
        "{}",
        nothing.err
    );
    // Of a connection without messages, its end can be asked.
    let refused = objects(&["--connection", "1", "fixtures/sessions/tcp-refused.pcap"]);
    assert_eq!(refused[0]["close"]["cause"], "tcp_refused");
}

#[test]
fn sessions_deliveries_are_selected() {
    let file = "fixtures/sessions/deliveries.pcap";
    let of = |args: &[&str]| objects(&[&["--deliveries"], args, &[file]].concat());
    let all = of(&[]);
    assert_eq!(all.len(), 71);
    let topic = of(&["--topic", "plant/2/other"]);
    assert_eq!(topic.len(), 10);
    assert!(topic.iter().all(|one| one["topic"] == "plant/2/other"));
    // Those that a client sent, or got.
    let sent = of(&["--client", "sender-2"]);
    assert_eq!(sent.len(), 30);
    let got = of(&["--client", "exact"]);
    assert_eq!(got.len(), 40);
    // Other messages may be in the same captured packet.
    let file = "fixtures/market/aedes-paho-4.pcap";
    let one = objects(&["--deliveries", "--topic", "market/echo/5", file]);
    assert_eq!(one.len(), 1, "{one:?}");
    assert_eq!(one[0]["topic"], "market/echo/5");
}

/// A range of time ends the view, and not the evidence.
#[test]
fn sessions_are_read_up_to_a_time() {
    let file = "fixtures/sessions/taken-over-mosquitto.pcap";
    let whole = objects(&[file]);
    let early = objects(&["--to", "+0.2s", file]);
    assert_eq!(whole[0]["close"]["cause"], "taken_over");
    assert_eq!(
        (early.len(), &early[0]["close"]["cause"]),
        (1, &Value::from("still_open"))
    );
}

/// TLS with its keys and WebSocket show as much as TCP alone.
#[test]
fn sessions_are_read_through_tls_and_websocket() {
    for (name, keys, transport) in [
        ("tls12-aes128-gcm", true, "tls"),
        ("tls12-paho", true, "tls"),
        ("ws-paho-3.1.1", false, "websocket"),
        ("ws-mqttjs-5.0", false, "websocket"),
        ("ws-aedes-mqttjs", false, "websocket"),
    ] {
        let file = format!("fixtures/transport/{name}.pcap");
        let log = format!("fixtures/transport/{name}.keys");
        let mut args = vec![file.as_str()];
        if keys {
            args.extend(["--tls-keylog", &log]);
        }
        let found = objects(&args);
        assert!(!found.is_empty(), "{name}");
        for one in &found {
            assert_eq!(one["transport"], transport, "{name}: {one}");
            assert!(one["client_id"].is_string(), "{name}: {one}");
            assert_eq!(one["close"]["cause"], "disconnect", "{name}: {one}");
        }
        let drawn = run(&[&["sessions", "--ladder"], &args[..]].concat()).clean();
        assert!(drawn.contains("CONNECT"), "{name}: {drawn}");
    }
    // Without keys, why it ended is unknown, and reported as such.
    let sealed = objects(&["fixtures/transport/tls12-aes128-gcm.pcap"]);
    assert_eq!(
        sealed[0]["close"]["certainty"], "cannot_tell",
        "{}",
        sealed[0]
    );
}

/// The parts of a rotated capture are one.
#[test]
fn sessions_of_several_parts_are_one() {
    let parts = [
        "fixtures/captures/rotated-1.pcap",
        "fixtures/captures/rotated-2.pcap",
    ];
    let one = objects(&["-r", parts[0], "-r", parts[1]]);
    let [alone, rest] = parts.map(|part| objects(&[part]));
    let messages = |all: &[Value]| -> u64 {
        let by_qos = all.iter().flat_map(|one| {
            ["up", "down"].map(|way| one["messages"][way].as_object().expect("counts").clone())
        });
        by_qos
            .flat_map(|counts| {
                counts
                    .into_iter()
                    .map(|(_, n)| n.as_u64().expect("a count"))
            })
            .sum()
    };
    assert!(one.len() < alone.len() + rest.len(), "{one:?}");
    assert!(messages(&one) >= messages(&alone) + messages(&rest));
}

#[test]
fn sessions_ladders_show_tcp_on_request() {
    let file = "fixtures/sessions/network-loss.pcap";
    let plain = run(&["sessions", "--ladder", "--ascii", file]).clean();
    let tcp = run(&["sessions", "--ladder", "--ascii", "--tcp", file]).clean();
    assert!(plain.is_ascii() && !plain.contains("sent again"), "{plain}");
    assert!(tcp.contains("sent again"), "{tcp}");
    let ids = run(&["sessions", "--ladder", "--id", "2", file]).clean();
    assert!(
        ids.lines().skip(1).all(|line| line.contains("id 2")),
        "{ids}"
    );
    // 80 columns, whatever the names.
    for line in tcp.lines() {
        assert!(line.len() <= 80, "{line}");
    }
}

#[test]
fn sessions_ladders_are_text() {
    let file = "fixtures/captures/fusesource-qos2.pcap";
    for format in ["ndjson", "csv"] {
        let refused = run(&["sessions", "--ladder", "--format", format, file]);
        assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""));
        assert!(refused.err.contains("expected text"), "{}", refused.err);
    }
}

#[test]
fn sessions_in_detail() {
    let file = "fixtures/sessions/deliveries.pcap";
    let text = run(&["sessions", "-v", file]).clean();
    for words in [
        "Latency by client",
        "Latency by QoS",
        "Latency by topic",
        "Subscriptions",
        "shared by group",
        "Topics",
        "Last packets of 3 wild",
        "plant/",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    let short = run(&["sessions", file]).clean();
    assert!(text.starts_with(&short), "{text}");
    // Tables and lists fit.
    for line in text.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

/// Checks that need a browser, by Chromium; without one, the test is skipped with a note.
fn chromium(args: &[&str]) -> Option<String> {
    let folder = Folder::new();
    let output = Command::new("chromium")
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
        ])
        .args([
            "--allow-file-access-from-files",
            "--virtual-time-budget=2000",
        ])
        .arg(format!("--user-data-dir={}", folder.name("profile")))
        .args(args)
        .output();
    match output {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(_) => {
            println!("chromium is not installed: the page was not opened");
            None
        }
    }
}

#[test]
fn sessions_page_opens_in_a_browser() {
    let folder = Folder::new();
    let page = folder.name("page.html");
    for file in ["takeover-loop-mosquitto", "deliveries", "receive-maximum"] {
        let file = format!("fixtures/sessions/{file}.pcap");
        run(&["sessions", "--html", &page, &file]).clean();
        let html = std::fs::read_to_string(&page).expect("the page");
        // Nothing to fetch, nothing to run.
        for word in [
            "<script", "http:", "https:", "src=", "url(", "@import", "<link",
        ] {
            assert!(!html.contains(word), "{word}");
        }
        for heading in [
            "What needs attention",
            "Connections",
            "Timeline",
            "Control packets",
            "Bytes",
        ] {
            assert!(html.contains(&format!("<h2>{heading}</h2>")), "{heading}");
        }
        // As wide as a phone: the page itself does not scroll sideways.
        let frame = folder.write(
            "frame.html",
            b"<iframe src=page.html width=400 height=900 style='border:0' onload=\"\
              let d=contentDocument;document.title=d.documentElement.scrollWidth+' of '+\
              d.querySelectorAll('svg').length+' '+getComputedStyle(d.body).display\"></iframe>",
        );
        let Some(dom) = chromium(&["--dump-dom", &format!("file://{frame}")]) else {
            return;
        };
        let title = dom
            .split("<title>")
            .nth(1)
            .and_then(|rest| rest.split(' ').next());
        assert_eq!(title, Some("400"), "{dom}");
        for (name, args) in [
            ("light.png", &["--window-size=1200,1600"][..]),
            (
                "dark.png",
                &[
                    "--window-size=1200,1600",
                    "--force-dark-mode",
                    "--blink-settings=preferredColorScheme=0",
                ],
            ),
        ] {
            let shot = format!("--screenshot={}", folder.name(name));
            chromium(&[args, &[&shot, &format!("file://{page}")]].concat());
            let png = std::fs::read(folder.path(name)).expect("a picture");
            assert!(png.starts_with(b"\x89PNG") && png.len() > 20_000, "{name}");
        }
        let pdf = format!("--print-to-pdf={}", folder.name("page.pdf"));
        chromium(&[&pdf, &format!("file://{page}")]);
        let pdf = std::fs::read(folder.path("page.pdf")).expect("a document");
        assert!(pdf.starts_with(b"%PDF") && pdf.len() > 20_000);
    }
}

/// A name from the wire cannot become part of the page.
#[test]
fn sessions_page_shows_names_as_text() {
    let folder = Folder::new();
    let page = folder.name("page.html");
    let hostile = crate::support::transcript::Conversation::new(
        "> CONNECT client=<script>alert(1)</script>\n< CONNACK\n> PUBLISH topic=<b>&\"'\n! fin <",
    );
    let packets =
        crate::support::wire::Wire::new(&hostile).packets(&crate::support::stack::Stack::default());
    let file = folder.write(
        "hostile.pcap",
        &crate::support::files::Format::PCAPNG.write(&packets),
    );
    run(&["sessions", "--html", &page, &file]).clean();
    let html = std::fs::read_to_string(&page).expect("the page");
    assert!(
        !html.contains("<script") && !html.contains("<b>&\""),
        "{html}"
    );
    assert!(html.contains("&lt;script&gt;"), "{html}");
}
