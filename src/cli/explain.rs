//! `mqttdump explain RULE`: the documentation of a rule.

use clap::Args;
use mqttdump::rules::{self, RULES, Rule, page};

use super::command::{Command, Exit};
use super::console::complain;
use super::hanging;
use super::markdown::render;
use super::nearest::nearest;
use super::output;
use super::stop::Stop;
use super::surroundings::Surroundings;

/// Options of `explain`.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct ExplainArgs {
    /// A rule, or a statement of the specification such as MQTT-3.3.1-2; if omitted,
    /// all rules are listed
    #[arg(value_name = "RULE", help_heading = "Input")]
    rule: Option<String>,
}

impl Command for ExplainArgs {
    const NAME: &'static str = "explain";
    const ABOUT: &'static str = "Explain a rule: requirement, reason, examples";
    const USAGE: &'static str = "mqttdump explain [RULE]";
    const EXAMPLES: &'static [(&'static str, &'static str)] = &[
        ("mqttdump explain", "list the rules"),
        ("mqttdump explain id-in-use", "a rule by its name"),
        (
            "mqttdump explain MQTT-3.3.1-2",
            "the rules that check a statement",
        ),
    ];
    const SHORT_HELP: &'static [&'static str] = &[];

    fn run(self, around: &Surroundings<'_>) -> Result<Exit, Stop> {
        let Some(id) = &self.rule else {
            let columns = around.columns.filter(|_| around.stdout_terminal);
            output::print(list(columns).as_bytes())?;
            return Ok(Exit::Success);
        };
        let found = find(id);
        if found.is_empty() {
            complain(&unknown(id));
            return Ok(Exit::Trouble);
        }
        let pages: Vec<String> = found.into_iter().map(page::of).collect();
        let mut text = pages.join("\n");
        if around.stdout_terminal {
            text = render(&text, around.columns.unwrap_or(80).min(100));
        }
        output::print(text.as_bytes())?;
        Ok(Exit::Success)
    }
}

/// All rules, one a line, or wrapped on a terminal.
fn list(columns: Option<usize>) -> String {
    hanging::list(
        RULES.iter().map(|rule| (rule.id.to_owned(), rule.title)),
        columns,
    )
}

/// The rules with this id, or for a statement such as `MQTT-3.3.1-2`.
fn find(id: &str) -> Vec<&'static Rule> {
    if let Some(rule) = rules::find(id) {
        return vec![rule];
    }
    let covers = |rule: &&&'static Rule| {
        rule.clauses
            .iter()
            .any(|clause| !clause.id.is_empty() && clause.id.eq_ignore_ascii_case(id))
    };
    RULES.iter().filter(covers).copied().collect()
}

/// The error message for an unknown rule.
pub(crate) fn unknown(id: &str) -> String {
    let parts = RULES.iter().filter(|rule| rule.id.contains(id));
    let mut near: Vec<_> = parts.map(|rule| rule.id).take(8).collect();
    if near.is_empty() {
        near.extend(nearest(id, RULES.iter().map(|rule| rule.id)));
    }
    let hint = match near.is_empty() {
        true => "mqttdump explain lists them all".to_owned(),
        false => format!("did you mean {}?", near.join(", ")),
    };
    format!("there is no rule '{id}'; {hint}")
}
