//! The documentation of a rule as a page of Markdown, for `explain` and
//! `docs/rules`.

use crate::mqtt::Version;

use super::Rule;
use super::clause::Clause;

/// The page of a rule.
pub fn of(rule: &Rule) -> String {
    let mut text = format!(
        "# {}\n\n{}.\n\n{}\n\n",
        rule.id,
        rule.title,
        rule.why.replace("  ", " ")
    );
    text += &format!(
        "Binds: {}. Severity: {}.\n",
        match rule.binds.name() {
            "both" => "client and server",
            one => one,
        },
        rule.severity.name()
    );
    for version in [Version::V3_1, Version::V3_1_1, Version::V5] {
        let of_version = rule.clauses.iter().filter(|c| c.version == version);
        let names: Vec<String> = of_version.map(Clause::to_string).collect();
        if !names.is_empty() {
            text += &format!("\nMQTT {version}: {}\n", names.join(", "));
        }
    }
    for (title, example) in [
        ("Good", rule.examples.good),
        ("Bad", rule.examples.bad),
        ("Inconclusive", rule.examples.cut),
    ] {
        if !example.is_empty() {
            text += &format!("\n{title}:\n\n```text\n{}\n```\n", example.trim());
        }
    }
    text
}

/// The list of all rules, by severity and name, for `docs/rules`.
pub fn index() -> String {
    let mut text = "# Rules\n\nWhat `mqttdump check` judges by. `mqttdump explain RULE` prints the page of a rule, and \
        `mqttdump explain STATEMENT` those of the rules for a statement. What is checked of each statement of the \
        specifications: [coverage](coverage.md).\n\n\
        | Rule | Binds | Severity | |\n|---|---|---|---|\n"
        .to_owned();
    for rule in super::RULES.iter() {
        text += &format!(
            "| [{id}]({id}.md) | {} | {} | {} |\n",
            rule.binds.name(),
            rule.severity.name(),
            rule.title.replace('|', "\\|"),
            id = rule.id,
        );
    }
    text
}
