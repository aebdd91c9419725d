//! What `-w` and `--save` write, in one reading or two.

use mqttdump::capture::{self, Capture, Merge};

use super::super::save::{Save, Saver, Series, Wanted, is_same, now};
use super::super::source::Source;
use super::super::stop::Stop;
use super::super::watch::Watch;

use super::pass::Pass;
use super::{Driver, Job, Select};

impl Driver<'_> {
    /// Reads the files a second time and writes the selected connections. Errors in
    /// the input have been reported by the first reading.
    pub(super) fn save_selected(
        &mut self,
        source: &Source,
        wanted: Wanted,
        series: Series,
    ) -> Result<bool, Stop> {
        let opened = source.open(false)?;
        let mut gate = self.gate(&opened)?;
        let keys = self.reading.keys.open()?;
        let (mut watch, mut unmatched) = (Watch::default(), None);
        let saver = Saver::second_pass(wanted, series);
        let mut job = Renumber(());
        let besides = (&mut watch, &mut unmatched);
        let mut pass = Pass::new(self.reading, keys, Some(saver), &mut job, besides);
        let mut merge = Merge::new(opened.captures);
        pass.read(&mut merge, &mut gate, &mut self.progress, None)?;
        match pass.saver.take() {
            Some(saver) => Ok(!saver.finish()?.failed),
            None => Ok(true),
        }
    }
}

/// Numbers the connections as in the first reading. It needs the same input,
/// keys included, because decrypted content decides which connections are kept.
struct Renumber(());

impl Job for Renumber {
    type Sink = ();

    fn sink(&mut self) -> &mut () {
        &mut self.0
    }
}

/// The saver for the first reading, and the files that a second reading
/// writes.
pub(super) fn saver(
    job: &impl Job,
    source: &Source,
    captures: &[Capture],
) -> Result<(Option<Saver>, Option<Series>), Stop> {
    let Some((save, select)) = job.saving() else {
        return Ok((None, None));
    };
    let series = series(save, source, captures)?;
    let is_read_again = source.is_files() && captures.iter().all(|it| it.size().is_some());
    Ok(match select {
        Select::All => (Some(Saver::All(Box::new(series))), None),
        Select::Some | Select::Exchanges if is_read_again => {
            (Some(Saver::first_pass(save.rotation)), Some(series))
        }
        Select::Some => (Some(Saver::buffering(series)), None),
        Select::Exchanges => {
            series.take_back();
            return Err(Stop::Failed(
                "--save exchanges reads its files twice, which a pipe or an interface cannot \
                 do: save the connections, and then read that file"
                    .into(),
            ));
        }
    })
}

/// Creates the first file of `-w`, unless it would overwrite an input file.
fn series(save: &Save, source: &Source, captures: &[Capture]) -> Result<Series, Stop> {
    if let Some(read) = source.paths().iter().find(|it| is_same(it, &save.path)) {
        return Err(Stop::Failed(format!(
            "-w {} would overwrite what -r {} reads",
            save.path.display(),
            read.display()
        )));
    }
    let mut file = capture::Plan::new(&save.path, captures);
    file.look_ahead(source.paths());
    file.flush = save.packet_buffered;
    // For files, the first packet sets the start time.
    let start = source.is_live().then(now);
    let sources = (source.paths(), source.is_files());
    Ok(Series::open(save, file, sources, start)?)
}
