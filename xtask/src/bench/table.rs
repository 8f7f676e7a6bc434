//! Samples, their medians, and how they are shown.

use std::collections::BTreeMap;
use std::io::Write;

use anyhow::{Context, Result};
use serde_json::json;
use taipan_testkit::stats::median;

use super::Options;

/// One sample: figures by the names of their stages, which add up to the whole.
pub(crate) type Sample = BTreeMap<String, f64>;

/// A sample without stages.
pub(crate) fn whole(value: f64) -> Sample {
    Sample::from([(String::new(), value)])
}

/// Something that is measured, of ours or of a peer's.
pub(crate) struct Case<'a> {
    pub(crate) name: &'static str,
    pub(crate) sample: Box<dyn FnMut() -> Result<Sample> + 'a>,
}

impl<'a> Case<'a> {
    pub(crate) fn new(name: &'static str, sample: impl FnMut() -> Result<Sample> + 'a) -> Self {
        Self { name, sample: Box::new(sample) }
    }
}

/// The medians of a case: of the whole and of its stages.
pub(crate) struct Figures {
    pub(crate) name: &'static str,
    pub(crate) whole: f64,
    stages: Vec<(String, f64)>,
}

impl Figures {
    /// Of one stage, or of one figure where they do not add up.
    pub(crate) fn stage(&self, name: &str) -> Result<f64> {
        let found = self.stages.iter().find(|(stage, _)| stage == name);
        found.map(|(_, value)| *value).with_context(|| format!("{} has no figure: {name}", self.name))
    }
}

/// Takes samples of all cases in turn. The first of each warms it up and is not counted.
pub(crate) fn alternate(cases: Vec<Case<'_>>, rounds: usize) -> Result<Vec<Figures>> {
    let mut cases: Vec<(Case<'_>, Vec<Sample>)> = cases.into_iter().map(|case| (case, vec![])).collect();
    for round in 0..=rounds {
        for (case, samples) in &mut cases {
            let sample = (case.sample)().with_context(|| format!("cannot measure: {}", case.name))?;
            if round > 0 {
                samples.push(sample);
            }
        }
    }
    Ok(cases.into_iter().map(|(case, samples)| figures(case.name, &samples)).collect())
}

fn figures(name: &'static str, samples: &[Sample]) -> Figures {
    let whole = median(samples.iter().map(|sample| sample.values().sum()).collect());
    let stages = samples.first().map(|sample| sample.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let of_stage = |stage: String| {
        let values = samples.iter().filter_map(|sample| sample.get(&stage)).copied().collect();
        (stage, median(values))
    };
    // One stage alone is the whole.
    let stages = if stages.len() > 1 { stages.into_iter().map(of_stage).collect() } else { vec![] };
    Figures { name, whole, stages }
}

/// The table on standard output, or its rows as JSON.
pub(crate) struct Table<'a> {
    options: &'a Options,
    title: &'static str,
}

impl<'a> Table<'a> {
    pub(crate) fn new(options: &'a Options, title: &'static str) -> Result<Self> {
        if !options.json {
            writeln!(std::io::stdout(), "{title:<66} {:>9} {:>9} {:>8}", "taipan", "peer", "ratio")?;
        }
        Ok(Self { options, title })
    }

    /// A figure in `unit`, beside that of a peer if there is one.
    pub(crate) fn row(&self, case: &str, ours: f64, peer: Option<f64>, unit: &str) -> Result<()> {
        let ratio = peer.map(|peer| ours / peer);
        let mut out = std::io::stdout();
        if self.options.json {
            let row = json!({
                "bench": self.title, "case": case, "ours": ours, "peer": peer, "unit": unit, "ratio": ratio,
            });
            writeln!(out, "{row}")?;
        } else {
            let shown = |value: f64| format!("{value:.*}", if value < 100.0 { 2 } else { 0 });
            let peer = peer.map_or_else(String::new, shown);
            let ratio = ratio.map_or_else(String::new, |ratio| format!("{ratio:.4}"));
            writeln!(out, "{case:<66} {:>9} {peer:>9} {ratio:>8} {unit}", shown(ours))?;
        }
        Ok(())
    }

    /// Milliseconds of a case, beside each of its peers, and then by stages.
    pub(crate) fn times(&self, all: &[Figures], case: &str, peers: &[&str]) -> Result<()> {
        let find = |name: &str| {
            all.iter().find(|figures| figures.name == name).with_context(|| format!("no such case: {name}"))
        };
        let ours = find(case)?;
        if peers.is_empty() {
            self.row(case, ours.whole / 1e6, None, "ms")?;
        }
        for name in peers {
            let peer = find(name)?;
            self.row(&format!("{case} | {name}"), ours.whole / 1e6, Some(peer.whole / 1e6), "ms")?;
        }
        for (stage, value) in &ours.stages {
            self.row(&format!("{case}: {stage}"), value / 1e6, None, "ms")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_taken_in_turn_and_the_first_is_dropped() {
        let order = std::cell::RefCell::new(String::new());
        let case = |name: &'static str| {
            let (order, mut count) = (&order, 0.0);
            Case::new(name, move || {
                order.borrow_mut().push_str(name);
                count += 1.0;
                Ok(Sample::from([("a".to_owned(), count), ("b".to_owned(), 10.0 * count)]))
            })
        };
        let all = alternate(vec![case("x"), case("y")], 3).unwrap();
        assert_eq!(*order.borrow(), "xyxyxyxy");
        let [x, _] = &all[..] else { panic!("{} cases", all.len()) };
        assert_eq!(x.whole, 33.0);
        assert_eq!(x.stages, [("a".to_owned(), 3.0), ("b".to_owned(), 30.0)]);
    }
}
