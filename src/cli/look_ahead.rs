//! A first reading for display filters that depend on how exchanges end, or on
//! findings: both are known only after the packets themselves were read.

use mqttdump::facts::{self, Fact, Needs, Sink};
use mqttdump::rules::{self, Judge};
use mqttdump::select::{Foresight, Selection};
use mqttdump::time::Timestamp;

use super::driver::{Driver, Job, Trouble};
use super::source::Source;
use super::stop::Stop;

/// What a first reading of the capture finds for the selection; nothing if the
/// selection does not need it.
pub(crate) fn look_ahead(
    driver: &mut Driver<'_>,
    source: &Source,
    selection: &Selection,
) -> Result<Foresight, Stop> {
    let needs = selection.filter.as_ref().map(|filter| filter.needs());
    let needs = needs.unwrap_or_default();
    if !needs.exchange && !needs.findings {
        return Ok(Foresight::default());
    }
    if !source.can_be_read_twice() {
        // Without a first reading, only latencies of answers are known.
        return match needs.findings || needs.acked {
            true => Err(Stop::Failed(
                "-Y: acked and finding are known only after the whole capture was read: \
                 read a file instead of a pipe or an interface"
                    .into(),
            )),
            false => Ok(Foresight::default()),
        };
    }
    let judge = needs
        .findings
        .then(|| Judge::new(rules::Options::default()));
    let mut job = LookAhead {
        sinks: Sinks {
            foresight: Foresight::default(),
            judge,
        },
    };
    driver.read(source, &mut job)?;
    job.take_findings();
    Ok(job.sinks.foresight)
}

struct LookAhead {
    sinks: Sinks,
}

struct Sinks {
    foresight: Foresight,
    judge: Option<Judge>,
}

impl LookAhead {
    fn take_findings(&mut self) {
        if let Some(judge) = &mut self.sinks.judge {
            judge.take_arisen();
            for finding in judge.take_finished() {
                self.sinks
                    .foresight
                    .found(finding.rule.id, &finding.packets);
            }
        }
    }
}

impl Sink for Sinks {
    fn needs(&self) -> Needs {
        self.foresight.needs() | self.judge.needs()
    }

    fn fact(&mut self, fact: Fact<'_>) {
        self.foresight.fact(fact);
        self.judge.fact(fact);
    }

    fn earlier(&mut self, fact: Fact<'_>, from: Timestamp) {
        self.foresight.earlier(fact, from);
        self.judge.earlier(fact, from);
    }

    fn finish(&mut self) {
        self.judge.finish();
    }
}

impl Job for LookAhead {
    type Sink = Sinks;

    fn sink(&mut self) -> &mut Sinks {
        &mut self.sinks
    }

    fn options(&self) -> facts::Options {
        rules::Options::default().facts()
    }

    fn settle(&mut self) -> Result<(), Stop> {
        self.take_findings();
        Ok(())
    }

    // The second reading reports it.
    fn trouble(&mut self, _: &Trouble) -> bool {
        true
    }
}
