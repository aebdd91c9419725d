//! The catalogue of statements (`fixtures/spec`) and the rules: each statement
//! that is visible on the wire has a rule or a written reason, and
//! `docs/rules` lists them. `BLESS=1 cargo test catalogue` writes the pages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use mqttdump::rules::unchecked::{PARTLY, UNCHECKED, Unchecked};
use mqttdump::rules::{Finding, Options, RULES, Rule, Verdict, page};

use crate::rules::{describe, judge, judge_files};
use crate::support::program::project;
use crate::support::scene::{scene, scene_in};

/// A statement of a version.
struct Statement {
    name: String,
    observable: String,
    text: String,
}

/// Statements visible on the wire, in the order of the specifications.
fn statements() -> Vec<Statement> {
    let mut statements = Vec::new();
    for version in ["3.1.1", "5.0"] {
        for file in ["normative.csv", "unnumbered.csv"] {
            let mut reader =
                csv::Reader::from_path(project("fixtures/spec").join(file)).expect(file);
            for row in reader.deserialize::<BTreeMap<String, String>>() {
                let row = row.expect("a row");
                let visible = ["packet", "connection", "session", "timing", "cross"];
                if row["version"].split(',').any(|v| v == version)
                    && visible.contains(&&*row["observable"])
                {
                    statements.push(Statement {
                        name: format!("{version} {}", row["id"]),
                        observable: row["observable"].clone(),
                        text: row["rule"].clone(),
                    });
                }
            }
        }
    }
    statements
}

fn of(name: &str) -> Vec<&'static Rule> {
    let rules = RULES.iter().copied();
    rules
        .filter(|rule| rule.clauses.iter().any(|c| rule.clause_name(c) == name))
        .collect()
}

fn why(list: &'static [Unchecked], name: &str) -> Option<&'static str> {
    let mut list = list.iter();
    list.find(|it| format!("{} {}", it.version, it.id) == name)
        .map(|it| it.why)
}

#[test]
fn catalogue_of_statements_is_covered() {
    let statements = statements();
    assert!(statements.len() > 400, "{}", statements.len());
    let mut wrong = String::new();
    for statement in &statements {
        let name = &statement.name;
        match (of(name).is_empty(), why(UNCHECKED, name)) {
            (true, None) => {
                let _ = writeln!(wrong, "{name} has no rule: {}", statement.text);
            }
            (false, Some(_)) => {
                let _ = writeln!(wrong, "{name} has a rule, and a reason why not");
            }
            _ => {}
        }
        if of(name).is_empty() && why(PARTLY, name).is_some() {
            let _ = writeln!(wrong, "{name} is partly checked by no rule");
        }
    }
    let known: BTreeSet<&str> = statements.iter().map(|s| &*s.name).collect();
    for rule in RULES.iter() {
        for clause in rule.clauses.iter().filter(|c| !c.id.is_empty()) {
            let name = rule.clause_name(clause);
            if !known.contains(&*name) {
                let _ = writeln!(wrong, "{}: {name} is not in the catalogue", rule.id);
            }
        }
    }
    for it in UNCHECKED.iter().chain(PARTLY) {
        let name = format!("{} {}", it.version, it.id);
        if !known.contains(&*name) {
            let _ = writeln!(wrong, "{name} is not in the catalogue");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn catalogue_of_rules_is_in_order() {
    let mut ids = BTreeSet::new();
    for rule in RULES.iter() {
        assert!(ids.insert(rule.id), "{} twice", rule.id);
        assert!(
            rule.id
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'),
            "{} is not in kebab case",
            rule.id
        );
        assert!(!rule.title.ends_with('.'), "{}: full stop", rule.id);
        assert!(rule.why.ends_with('.'), "{}: no full stop", rule.id);
    }
}

/// More conversations, each with the statements that it breaks.
fn conversations() -> Vec<(Vec<String>, String)> {
    let file = std::fs::read_to_string(project("tests/statements.mqtt")).expect("the file");
    let describe = file.split("\n\n").filter(|text| text.contains(['>', '<']));
    describe
        .map(|text| {
            let (names, text) = text.split_once('\n').expect("names, then a conversation");
            let names = names.trim_start_matches("# ").split(", ");
            (names.map(str::to_owned).collect(), text.to_owned())
        })
        .collect()
}

#[test]
fn catalogue_statements_are_named_when_they_are_broken() {
    let mut wrong = String::new();
    for (names, text) in conversations() {
        let found = judge(&scene(&text), Options::default());
        for name in names {
            let named = |found: &Finding| {
                // A recommendation allows a note at most.
                found.verdict >= Verdict::Note
                    && found
                        .clauses
                        .iter()
                        .any(|c| found.rule.clause_name(c) == name)
            };
            if !found.iter().any(named) {
                let _ = writeln!(wrong, "{name}:\n{text}\n{}", describe(&found));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// The statements that a conversation or a capture of ours breaks so that it is
/// found.
fn exercised() -> BTreeSet<String> {
    let mut found: Vec<Finding> = Vec::new();
    for rule in RULES.iter().filter(|rule| !rule.clauses.is_empty()) {
        found.extend(judge(&scene(rule.examples.bad), Options::default()));
        for version in ["3.1.1", "5"] {
            if let Some(packets) = scene_in(version, rule.examples.bad) {
                found.extend(judge(&packets, Options::default()));
            }
        }
    }
    for (_, text) in conversations() {
        found.extend(judge(&scene(&text), Options::default()));
    }
    for entry in std::fs::read_dir(project("fixtures/violations")).expect("the folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|e| e == "pcap") {
            found.extend(judge_files(&[path], Options::default()));
        }
    }
    found
        .iter()
        .filter(|found| found.verdict >= Verdict::Note)
        .flat_map(|found| found.clauses.iter().map(|c| found.rule.clause_name(c)))
        .collect()
}

fn coverage() -> String {
    let statements = statements();
    let exercised = exercised();
    let mut rows = String::new();
    let mut counts: BTreeMap<&str, [usize; 3]> = BTreeMap::new();
    for statement in &statements {
        let name = &statement.name;
        let rules: Vec<String> = of(name)
            .iter()
            .map(|rule| format!("[{id}]({id}.md)", id = rule.id))
            .collect();
        let shown = exercised.contains(name);
        let counts = counts.entry(&statement.observable).or_default();
        counts[0] += 1;
        counts[1] += usize::from(!rules.is_empty());
        counts[2] += usize::from(shown);
        let mut checked = rules.join(", ");
        if let Some(why) = why(PARTLY, name) {
            let _ = write!(checked, ". In part: {why}");
        }
        if let Some(why) = why(UNCHECKED, name) {
            let _ = write!(checked, "Not: {why}");
        }
        let _ = writeln!(
            rows,
            "| {name} | {} | {checked} | {} |",
            statement.text.replace('|', "\\|"),
            if shown { "yes" } else { "" },
        );
    }
    let mut text = "# Coverage\n\n\
        Every statement of MQTT 3.1.1 and 5.0 visible on the wire, and the rule that checks it or the reason \
        why none does. `U-` marks requirements without a number in the specification. *Shown*: a conversation in the \
        tests breaks the statement, and `check` reports it. For MQTT 3.1, which has no numbered statements, each \
        [rule](README.md) states whether it applies.\n\n\
        | What it takes to see it | Statements | Checked | Shown |\n|---|---|---|---|\n"
        .to_owned();
    let mut sum = [0; 3];
    for kind in ["packet", "connection", "session", "timing", "cross"] {
        let of = counts[kind];
        let _ = writeln!(text, "| {kind} | {} | {} | {} |", of[0], of[1], of[2]);
        for (sum, of) in sum.iter_mut().zip(of) {
            *sum += of;
        }
    }
    let _ = writeln!(text, "| all | {} | {} | {} |", sum[0], sum[1], sum[2]);
    text + "\n| Statement | | Rule | Shown |\n|---|---|---|---|\n" + &rows
}

#[test]
fn catalogue_pages_are_up_to_date() {
    let folder = project("docs/rules");
    let mut pages: BTreeMap<String, String> = RULES
        .iter()
        .map(|rule| (format!("{}.md", rule.id), page::of(rule)))
        .collect();
    pages.insert("README.md".to_owned(), page::index());
    pages.insert("coverage.md".to_owned(), coverage());
    let bless = std::env::var_os("BLESS").is_some();
    let mut wrong = String::new();
    for entry in std::fs::read_dir(&folder).expect("docs/rules") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if !pages.contains_key(&*name) {
            if bless {
                std::fs::remove_file(&path).expect("the page can go");
            } else {
                let _ = writeln!(wrong, "{name} is the page of no rule");
            }
        }
    }
    for (name, page) in pages {
        let path = folder.join(&name);
        if bless {
            std::fs::write(&path, page).expect("the page can be written");
        } else if std::fs::read_to_string(&path).ok().as_deref() != Some(&*page) {
            let _ = writeln!(wrong, "{name} is out of date");
        }
    }
    assert!(wrong.is_empty(), "BLESS=1 writes the pages\n{wrong}");
}
