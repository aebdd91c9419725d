//! `--annotate`: comments on saved packets, which Wireshark shows: the client and the
//! topic of the control packets that a packet completes, and the findings of `check`
//! about it.
//!
//! Findings are known after their connection was read, so the files are read once
//! before they are saved.

use mqttdump::facts::{self, Fact, Needs, Sink};
use mqttdump::limits;
use mqttdump::rules::{self, Judge};
use mqttdump::time::Timestamp;

use super::console::{complain, were};
use super::driver::{Driver, Job, Trouble};
use super::save::Notes;
use super::source::Source;
use super::stop::Stop;

/// Reads the capture for the comments.
pub(crate) fn notes(driver: &mut Driver<'_>, source: &Source) -> Result<Notes, Stop> {
    if !source.can_be_read_twice() {
        return Err(Stop::Failed(
            "--annotate reads its files twice, which a pipe or an interface cannot do: save \
             the packets, and then read that file"
                .into(),
        ));
    }
    let mut job = Annotate {
        sink: Annotator {
            judge: Judge::new(rules::Options::default()),
            notes: Notes::default(),
        },
    };
    driver.read(source, &mut job)?;
    job.sink.take_findings();
    let notes = job.sink.notes;
    if notes.more() > 0 {
        complain(&format!(
            "{} saved without comments: the limit is {}",
            were(notes.more(), "packet"),
            limits::ANNOTATED_PACKETS
        ));
    }
    Ok(notes)
}

struct Annotate {
    sink: Annotator,
}

struct Annotator {
    judge: Judge,
    notes: Notes,
}

impl Annotator {
    fn take_findings(&mut self) {
        self.judge.take_arisen();
        for finding in self.judge.take_finished() {
            self.notes.finding(&finding);
        }
    }
}

impl Sink for Annotator {
    fn needs(&self) -> Needs {
        self.judge.needs()
    }

    fn fact(&mut self, fact: Fact<'_>) {
        self.judge.fact(fact);
        if let Fact::Frame(fact) = fact {
            self.notes.frame(fact.frame);
        }
    }

    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        self.judge.earlier(fact, from);
    }

    fn finish(&mut self) {
        self.judge.finish();
    }
}

impl Job for Annotate {
    type Sink = Annotator;

    fn sink(&mut self) -> &mut Annotator {
        &mut self.sink
    }

    fn options(&self) -> facts::Options {
        rules::Options::default().facts()
    }

    fn settle(&mut self) -> Result<(), Stop> {
        if self.sink.judge.has_finished() {
            self.sink.take_findings();
        }
        Ok(())
    }

    // The second reading reports it.
    fn trouble(&mut self, _: &Trouble) -> bool {
        true
    }
}
