//! Who measures what: which tensors there is something to measure of, their runs on several
//! threads, and rows made of the results in order.

use super::measure::{Route, Worker};
use super::moments::Moments;
use super::sketch::{self, Sketch};
use super::{Domain, Measures, Options, Outcome, Row, Stats, Totals};
use crate::dtype::{Class, DType, cast};
use crate::error::{Error, Result};
use crate::model::{Checkpoint, Payload, Tensor};
use crate::op::work::{self, Run, SharedReader, as_f32, lock};
use crate::parallel;
use crate::stream::Reader;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Mutex;

/// Measures every tensor of `checkpoint`.
pub(super) fn carry_out(checkpoint: &Checkpoint, options: &Options<'_>) -> Result<Stats> {
    let tensors = &checkpoint.tensors;
    let subjects = subjects(tensors);
    let plan = Plan::new(tensors, &subjects, options);
    let results = plan.results()?;
    let mut stats = Stats {
        path: checkpoint.path.clone(),
        format: checkpoint.format,
        rows: Vec::with_capacity(plan.slots.len()),
        totals: Default::default(),
        absent: Vec::new(),
        failures: Vec::new(),
    };
    let outcomes = plan.outcomes(results, &mut stats);
    stats.totals = plan.totals(&outcomes);
    stats.rows = match options.by {
        None => plan.rows_of_tensors(outcomes),
        Some(_) => plan.rows_of_groups(outcomes),
    };
    Ok(stats)
}

/// What there is to do about a tensor.
enum Subject {
    /// Nothing: why.
    Absent(String),
    /// Nothing: it asks for too much.
    Refused(Error),
    /// Nothing: it is another name of this earlier tensor.
    Tied(usize),
    Measure {
        /// The tensor to read instead: the same elements as `f32`.
        view: Option<Box<Tensor>>,
        route: Route,
    },
}

fn subjects(tensors: &[Tensor]) -> Vec<Subject> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    if tensors.iter().any(|tensor| tensor.tied_to.is_some()) {
        let names = tensors.iter().map(|tensor| tensor.name.as_str());
        places = names.zip(0..).collect();
    }
    let subject = |(index, tensor): (usize, &Tensor)| {
        let first = tensor.tied_to.as_deref().and_then(|name| places.get(name));
        match first.filter(|&&first| first < index) {
            Some(&first) => Subject::Tied(first),
            None => Subject::of(tensor),
        }
    };
    tensors.iter().enumerate().map(subject).collect()
}

impl Subject {
    fn of(tensor: &Tensor) -> Subject {
        if let Payload::Absent(why) = tensor.payload {
            return Subject::Absent(format!("has no data: {why}"));
        }
        if let DType::Unknown(_) = tensor.dtype {
            return Subject::Absent(format!("type {} is not known", tensor.dtype));
        }
        if let Err(error) = work::check_size(tensor) {
            return Subject::Refused(error);
        }
        if let Some(route) = Route::of(tensor) {
            return Subject::Measure { view: None, route };
        }
        if tensor.dtype.class() != Class::Quantized
            && let Err(error) = cast::check(tensor.dtype, DType::F32)
        {
            return Subject::Absent(error.message().to_owned());
        }
        Subject::Measure {
            view: Some(Box::new(as_f32(tensor.clone()))),
            route: Route::F32,
        }
    }
}

/// What became of one run.
enum Ran {
    Measured(Moments),
    Failed(Error),
    /// Nothing: another run of the tensor has failed.
    Abandoned,
}

/// What became of one tensor.
enum Found {
    Measured(Moments),
    Absent(String),
    Failed(String),
}

struct Plan<'a> {
    tensors: &'a [Tensor],
    subjects: &'a [Subject],
    options: &'a Options<'a>,
    runs: Vec<Run>,
    /// What several runs of one tensor share.
    shared: HashMap<usize, SharedReader<'a>>,
    /// For each tensor, its row.
    slot_of: Vec<usize>,
    slots: Vec<Mutex<Slot>>,
    /// The names of groups; empty where each tensor has a row.
    groups: Vec<String>,
}

/// What threads add up for one row, in any order: counts and extremes only.
struct Slot {
    sketch: Option<Sketch>,
    remaining: usize,
    min: f64,
    max: f64,
    quantiles: Vec<f64>,
    histogram: Vec<u64>,
}

impl<'a> Plan<'a> {
    fn new(tensors: &'a [Tensor], subjects: &'a [Subject], options: &'a Options<'a>) -> Plan<'a> {
        let mut plan = Plan {
            tensors,
            subjects,
            options,
            runs: Vec::new(),
            shared: HashMap::new(),
            slot_of: (0..tensors.len()).collect(),
            slots: Vec::new(),
            groups: Vec::new(),
        };
        plan.group();
        let mut remaining = vec![0; plan.groups.len().max(tensors.len())];
        for (index, tensor) in tensors.iter().enumerate() {
            if !matches!(subjects[index], Subject::Measure { .. }) {
                continue;
            }
            let start = plan.runs.len();
            plan.runs.extend(work::runs_of(index, tensor.elements()));
            let count = plan.runs.len() - start;
            remaining[plan.slot_of[index]] += count;
            if count > 1 {
                plan.shared.insert(index, SharedReader::new(count));
            }
        }
        if plan.has_sketches() {
            plan.slots = remaining.into_iter().map(Slot::new).collect();
        }
        plan
    }

    /// Gives each tensor its group, in the order of the groups' first tensors.
    fn group(&mut self) {
        let Some(by) = &self.options.by else {
            return;
        };
        let mut places: HashMap<String, usize> = HashMap::new();
        for (slot, tensor) in self.slot_of.iter_mut().zip(self.tensors) {
            let key = by.key(&tensor.name, tensor.dtype);
            *slot = *places.entry(key).or_insert_with_key(|key| {
                self.groups.push(key.clone());
                self.groups.len() - 1
            });
        }
    }

    fn has_sketches(&self) -> bool {
        !self.options.quantiles.is_empty() || self.options.bins > 0
    }

    /// What became of each run, in order.
    fn results(&self) -> Result<Vec<Ran>> {
        let pieces: Vec<Range<usize>> = work::pieces(&self.runs, self.tensors);
        let options = self.options;
        let worker = || Worker::new(options.instructions, options.chunk_bytes);
        let results = parallel::map(options.threads, pieces.len(), worker, |worker, piece| {
            let runs = &self.runs[pieces[piece].clone()];
            Ok(runs.iter().map(|run| self.run(worker, run)).collect())
        })?;
        Ok(results.into_iter().flat_map(|ran: Vec<Ran>| ran).collect())
    }

    fn run(&self, worker: &mut Worker, run: &Run) -> Ran {
        let Subject::Measure { view, route } = &self.subjects[run.tensor] else {
            return Ran::Abandoned;
        };
        let tensor = view.as_deref().unwrap_or(&self.tensors[run.tensor]);
        let mut sketch = self.has_sketches().then(|| Sketch::new(route.keys()));
        let shared = self.shared.get(&run.tensor);
        let ran = match shared {
            None => Reader::open(tensor)
                .and_then(|reader| self.measure(worker, &reader, *route, run, &mut sketch))
                .map_or_else(Ran::Failed, Ran::Measured),
            Some(shared) => match shared.open(tensor, run.first) {
                Ok(Some(reader)) => self
                    .measure(worker, &reader, *route, run, &mut sketch)
                    .map_or_else(Ran::Failed, Ran::Measured),
                Ok(None) => Ran::Abandoned,
                Err(error) => Ran::Failed(error),
            },
        };
        if let Some(shared) = shared {
            if let Ran::Failed(_) = ran {
                shared.fail(run.first);
            }
            shared.release();
        }
        if let Some(sketch) = sketch {
            let slot = &self.slots[self.slot_of[run.tensor]];
            lock(slot).add(sketch, &ran, self.options);
        }
        ran
    }

    fn measure(
        &self,
        worker: &mut Worker,
        reader: &Reader<'_>,
        route: Route,
        run: &Run,
        sketch: &mut Option<Sketch>,
    ) -> Result<Moments> {
        let range = (run.first, run.elements);
        worker.measure(reader, route, range, sketch.as_mut(), self.options.progress)
    }

    /// Merges the runs of each tensor from left to right.
    fn outcomes(&self, results: Vec<Ran>, stats: &mut Stats) -> Vec<Found> {
        let mut results = self.runs.iter().zip(results).peekable();
        let mut outcomes: Vec<Found> = Vec::with_capacity(self.tensors.len());
        for (index, (tensor, subject)) in self.tensors.iter().zip(self.subjects).enumerate() {
            let mut moments = Moments::EMPTY;
            let mut failure = None;
            while let Some((_, ran)) = results.next_if(|(run, _)| run.tensor == index) {
                match ran {
                    Ran::Measured(next) => moments.append(&next),
                    Ran::Failed(error) if failure.is_none() => failure = Some(error),
                    Ran::Failed(_) | Ran::Abandoned => {}
                }
            }
            let found = match (subject, failure) {
                (_, Some(error)) => Found::fail(error, stats),
                (Subject::Refused(error), _) => {
                    let error = Error::new(error.kind(), error.message());
                    Found::fail(error.in_tensor(&tensor.name), stats)
                }
                (Subject::Absent(why), _) => {
                    stats.absent.push((tensor.name.clone(), why.clone()));
                    Found::Absent(why.clone())
                }
                (Subject::Tied(first), _) => match &outcomes[*first] {
                    Found::Measured(moments) => Found::Measured(*moments),
                    Found::Absent(why) => Found::Absent(why.clone()),
                    Found::Failed(why) => Found::Failed(why.clone()),
                },
                (Subject::Measure { .. }, None) => Found::Measured(moments),
            };
            outcomes.push(found);
        }
        outcomes
    }

    fn totals(&self, outcomes: &[Found]) -> Totals {
        let mut totals = Totals {
            tensors: self.tensors.len() as u64,
            ..Totals::default()
        };
        let subjects = self.subjects.iter().zip(outcomes);
        for (tensor, (subject, found)) in self.tensors.iter().zip(subjects) {
            if let Subject::Tied(_) = subject {
                continue;
            }
            totals.elements = totals.elements.saturating_add(tensor.elements());
            totals.bytes = totals.bytes.saturating_add(tensor.byte_len().unwrap_or(0));
            if let Found::Measured(moments) = found {
                totals.zeros += moments.zeros;
                totals.nans += moments.nans;
                totals.infs += moments.infs;
                totals.add_lossless(tensor, moments.exact);
            }
        }
        totals
    }

    fn rows_of_tensors(&self, outcomes: Vec<Found>) -> Vec<Row> {
        let row = |(index, found): (usize, Found)| {
            let tensor = &self.tensors[index];
            let slot = match self.subjects[index] {
                Subject::Tied(first) => first,
                _ => index,
            };
            let outcome = match found {
                Found::Measured(moments) => self.measured(slot, Domain::of(tensor.dtype), moments),
                Found::Absent(why) => Outcome::Absent(why),
                Found::Failed(why) => Outcome::Failed(why),
            };
            Row {
                name: tensor.name.clone(),
                dtype: Some(tensor.dtype),
                shape: Some(tensor.shape.clone()),
                tensors: 1,
                elements: tensor.elements(),
                bytes: tensor.byte_len(),
                tied_to: tensor.tied_to.clone(),
                outcome,
                sparsity: None,
            }
        };
        outcomes.into_iter().enumerate().map(row).collect()
    }

    /// Tied tensors count once: where the first of them stands.
    fn rows_of_groups(&self, outcomes: Vec<Found>) -> Vec<Row> {
        let mut groups: Vec<Group> = self.groups.iter().map(|_| Group::default()).collect();
        for (index, found) in outcomes.into_iter().enumerate() {
            if !matches!(self.subjects[index], Subject::Tied(_)) {
                groups[self.slot_of[index]].add(&self.tensors[index], found);
            }
        }
        let row = |(slot, (group, name)): (usize, (Group, &String))| {
            let outcome = match (group.measured, group.reason) {
                (Some((domain, moments)), _) => self.measured(slot, domain, moments),
                (None, reason) => reason.unwrap_or(Outcome::Absent("is tied".to_owned())),
            };
            let dtype = group.dtypes.first().copied();
            Row {
                name: name.clone(),
                dtype: dtype.filter(|_| group.dtypes.len() == 1),
                shape: None,
                tensors: group.tensors,
                elements: group.elements,
                bytes: Some(group.bytes),
                tied_to: None,
                outcome,
                sparsity: None,
            }
        };
        let named = groups.into_iter().zip(&self.groups);
        named.enumerate().map(row).collect()
    }

    fn measured(&self, slot: usize, domain: Domain, moments: Moments) -> Outcome {
        let slot = self.slots.get(slot).map(lock);
        let lists = slot.map(|slot| (slot.quantiles.clone(), slot.histogram.clone()));
        let (quantiles, histogram) = lists.unwrap_or_default();
        Outcome::Measured(Box::new(Measures {
            domain,
            moments,
            quantiles,
            histogram,
        }))
    }
}

impl Found {
    fn fail(error: Error, stats: &mut Stats) -> Found {
        let text = error.to_string();
        stats.failures.push(error);
        Found::Failed(text)
    }
}

impl Slot {
    fn new(remaining: usize) -> Mutex<Slot> {
        Mutex::new(Slot {
            sketch: None,
            remaining,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
            quantiles: Vec::new(),
            histogram: Vec::new(),
        })
    }

    /// Adds one run; after the last, only the lists that were asked for are kept.
    fn add(&mut self, sketch: Sketch, ran: &Ran, options: &Options<'_>) {
        if let Ran::Measured(moments) = ran {
            self.min = self.min.min(moments.min);
            self.max = self.max.max(moments.max);
            match &mut self.sketch {
                Some(all) => all.merge(sketch),
                None => self.sketch = Some(sketch),
            }
        }
        self.remaining = self.remaining.saturating_sub(1);
        if self.remaining > 0 {
            return;
        }
        if let Some(sketch) = self.sketch.take().filter(|_| self.min <= self.max) {
            let counted = sketch.into_counted(self.min, self.max);
            self.quantiles = sketch::quantiles(&counted, &options.quantiles);
            if options.bins > 0 {
                self.histogram = sketch::histogram(&counted, options.bins, self.min, self.max);
            }
        }
    }
}

#[derive(Default)]
struct Group {
    tensors: u64,
    elements: u64,
    bytes: u64,
    /// Those that occur, each once, in order.
    dtypes: Vec<DType>,
    measured: Option<(Domain, Moments)>,
    /// Why the first tensor that has no statistics has none.
    reason: Option<Outcome>,
}

impl Group {
    fn add(&mut self, tensor: &Tensor, found: Found) {
        self.tensors += 1;
        self.elements = self.elements.saturating_add(tensor.elements());
        self.bytes = self.bytes.saturating_add(tensor.byte_len().unwrap_or(0));
        if !self.dtypes.contains(&tensor.dtype) {
            self.dtypes.push(tensor.dtype);
        }
        let reason = match found {
            Found::Measured(moments) => {
                let domain = Domain::of(tensor.dtype);
                match &mut self.measured {
                    None => self.measured = Some((domain, moments)),
                    Some((of_all, all)) => {
                        *of_all = of_all.and(domain);
                        all.merge(&moments);
                    }
                }
                return;
            }
            Found::Absent(why) => Outcome::Absent(why),
            Found::Failed(why) => Outcome::Failed(why),
        };
        self.reason.get_or_insert(reason);
    }
}
