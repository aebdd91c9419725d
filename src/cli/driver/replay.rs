//! Records of shards (`check --facts-out`) instead of packets.

use std::path::PathBuf;

use mqttdump::engine::{Output, Summary};
use mqttdump::facts::Facts;
use mqttdump::facts::record::{Records, Unmerged};
use mqttdump::time::Timestamp;

use super::super::records;
use super::super::stop::Stop;

use super::{Driver, Job, Outcome, Trouble};

impl Driver<'_> {
    /// Reads the records of shards instead of packets.
    pub(super) fn replay<J: Job>(
        &mut self,
        paths: &[PathBuf],
        job: &mut J,
    ) -> Result<Outcome, Stop> {
        let failed = |error: Unmerged| Stop::Failed(error.to_string());
        let inputs = paths.iter().map(|path| records::open(path));
        let mut records = Records::new(inputs.collect::<Result<_, _>>()?).map_err(failed)?;
        if !records.portion().is_whole() {
            job.only_part(records.portion())?;
        }
        let options = job.options();
        if !job.takes_records() {
            return Err(Stop::Failed(
                "files of --facts-out have no packets: they are for check without --level, \
                 sessions --deliveries, and tables --table findings,deliveries"
                    .into(),
            ));
        }
        let sinks = (job.sink(), &mut self.unmatched);
        let mut facts = Facts::new(self.reading.engine.clone(), options, &sinks);
        if records.lacks_packets() {
            // Whatever depends on absence is inconclusive.
            let sinks = &mut (job.sink(), &mut self.unmatched);
            facts.dropped(0, Timestamp::MAX, sinks);
        }
        loop {
            let sinks = &mut (job.sink(), &mut self.unmatched);
            let mut replay = |output: Output<'_>| facts.replay(output, sinks);
            if !records.next(&mut replay).map_err(failed)? {
                break;
            }
            facts.replayed(sinks);
            for (from, until) in records.take_pauses() {
                facts.pause(from, until);
            }
            job.settle()?;
        }
        match records.counts().dropped {
            0 => {}
            dropped => job.dropped(dropped),
        }
        job.before(None);
        facts.finish(&mut (job.sink(), &mut self.unmatched));
        job.settle()?;
        let counts = records.counts();
        let mut outcome = Outcome {
            whole: counts.whole,
            opened: true,
            summary: Some(Summary {
                packets: counts.packets,
                frames: counts.frames,
                duplicates: counts.duplicates,
                mqtt_connections: counts.mqtt_connections,
                other_connections: counts.other_connections,
                ..Summary::default()
            }),
            evicted: facts.given_up(),
            ..Outcome::default()
        };
        if !counts.whole && records.problems().is_empty() {
            outcome.whole = job.trouble(&Trouble {
                message: "a capture of these shards is damaged".into(),
                is_truncation: false,
            });
        }
        for problem in records.problems() {
            job.trouble(&Trouble {
                message: problem.clone(),
                is_truncation: false,
            });
            outcome.whole = false;
        }
        job.flush()?;
        Ok(outcome)
    }
}
