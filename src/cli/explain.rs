//! `mqttdump explain RULE`: the documentation of a rule.

use std::io::{self, Write};
use std::process::ExitCode;

use mqttdump::rules::{self, RULES, page};

use super::complain;

/// Tells what the rules say; without any, lists them all.
pub(crate) fn run(ids: &[String]) -> ExitCode {
    let mut text = String::new();
    if ids.is_empty() {
        let width = RULES.iter().map(|rule| rule.id.len()).max().unwrap_or(0);
        for rule in RULES.iter() {
            text += &format!("{:width$}  {}\n", rule.id, rule.title);
        }
    }
    let mut unknown = false;
    for id in ids {
        match find(id) {
            found if !found.is_empty() => {
                for rule in found {
                    if !text.is_empty() {
                        text += "\n";
                    }
                    text += &page::of(rule);
                }
            }
            _ => {
                unknown = true;
                let near = RULES.iter().filter(|rule| rule.id.contains(id.as_str()));
                let near: Vec<_> = near.map(|rule| rule.id).collect();
                let hint = match near.is_empty() {
                    true => "mqttdump explain lists them all".to_owned(),
                    false => format!("did you mean {}?", near.join(", ")),
                };
                complain(&format!("there is no rule '{id}'; {hint}"));
            }
        }
    }
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            complain(&format!("standard output: {error}"));
            ExitCode::from(2)
        }
        _ if unknown => ExitCode::from(2),
        _ => ExitCode::SUCCESS,
    }
}

/// By its id, or by a statement such as `MQTT-3.3.1-2`.
fn find(id: &str) -> Vec<&'static rules::Rule> {
    if let Some(rule) = rules::find(id) {
        return vec![rule];
    }
    let covers = |rule: &&&'static rules::Rule| {
        rule.clauses
            .iter()
            .any(|clause| !clause.id.is_empty() && clause.id.eq_ignore_ascii_case(id))
    };
    RULES.iter().filter(covers).copied().collect()
}
