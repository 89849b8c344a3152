//! What an adapter changes, by its values: exact norms, pairs that do nothing, NaN, outliers.
//!
//! The norm of `B A` needs no product of the size of the model's weights:
//! `|B A|^2 = sum((B^T B) o (A A^T))`, two matrices as large as the rank. All in `f64`.

use super::names::Role;
use super::{Adapter, Method, Pair};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::limits;
use crate::model::{Checkpoint, Tensor};
use crate::parallel;
use crate::stream::Reader;

/// How many times the median a norm must be to stand out.
const OUTLIER: f64 = 10.0;

/// What one module's change is like.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// The factor of a scale: a tensor, or a configuration.
    pub alpha: Option<f64>,
    /// What `up * down` is multiplied by.
    pub scale: f64,
    /// The Frobenius norm of the change, scaled; `None` if there is none or it is not finite.
    pub norm: Option<f64>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// What is wrong with a module's change.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// It changes nothing: one of its factors is all zeros.
    Nothing,
    /// A tensor of it has NaN or infinities.
    NotFinite(String),
    /// It is so many times larger than the median.
    Outlier(f64),
    /// It cannot be measured, and why.
    Unmeasured(String),
}

/// What all changes are like together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    /// In the order of the adapter's pairs.
    pub modules: Vec<Measured>,
    /// The median of the norms that are not zero.
    pub median: Option<f64>,
    /// The root of the sum of the squares of all norms.
    pub total: f64,
}

/// Reads the values of all pairs of `adapter`, which was recognised in `checkpoint`.
///
/// Errors: those of reading; what is wrong with values is a [`Problem`].
pub fn measure(adapter: &Adapter, checkpoint: &Checkpoint, threads: usize) -> Result<Health> {
    let tensors = &checkpoint.tensors;
    let work = |(): &mut (), piece: usize| measure_pair(&adapter.pairs[piece], tensors);
    let mut modules = parallel::map(threads, adapter.pairs.len(), || (), work)?;
    let mut norms: Vec<f64> = modules
        .iter()
        .filter_map(|m| m.norm)
        .filter(|n| *n > 0.0)
        .collect();
    norms.sort_by(f64::total_cmp);
    let median = norms.get(norms.len() / 2).copied();
    for module in &mut modules {
        if let (Some(norm), Some(median)) = (module.norm, median)
            && norm > OUTLIER * median
        {
            module.problems.push(Problem::Outlier(norm / median));
        }
    }
    let squares = modules
        .iter()
        .filter_map(|m| m.norm)
        .map(|norm| norm * norm);
    Ok(Health {
        total: squares.sum::<f64>().sqrt(),
        modules,
        median,
    })
}

fn measure_pair(pair: &Pair, tensors: &[Tensor]) -> Result<Measured> {
    let mut measured = Measured {
        alpha: None,
        scale: 1.0,
        norm: None,
        problems: Vec::new(),
    };
    let factors = Factors { pair, tensors };
    match factors.change() {
        Ok(change) => {
            measured.alpha = change.alpha;
            measured.scale = change.scale;
            let norm = change.norm * change.scale.abs();
            match norm.is_finite() {
                true => measured.norm = Some(norm),
                false => measured
                    .problems
                    .push(Problem::NotFinite(pair.module.clone())),
            }
            if norm == 0.0 {
                measured.problems.push(Problem::Nothing);
            }
        }
        Err(Failure::Problem(problem)) => measured.problems.push(problem),
        Err(Failure::Error(error)) => return Err(error),
    }
    Ok(measured)
}

/// Why a change cannot be measured.
enum Failure {
    Problem(Problem),
    Error(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        match error.kind() {
            crate::Kind::Io => Failure::Error(error),
            _ => Failure::Problem(Problem::Unmeasured(error.to_string())),
        }
    }
}

type Outcome<T> = std::result::Result<T, Failure>;

fn unmeasured<T>(why: impl Into<String>) -> Outcome<T> {
    Err(Failure::Problem(Problem::Unmeasured(why.into())))
}

/// A norm before it is scaled.
struct Change {
    norm: f64,
    alpha: Option<f64>,
    scale: f64,
}

/// Rows of equal length.
struct Matrix {
    rows: usize,
    columns: usize,
    values: Vec<f64>,
}

impl Matrix {
    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.columns..][..self.columns]
    }

    fn transposed(&self) -> Matrix {
        let mut values = Vec::with_capacity(self.values.len());
        for column in 0..self.columns {
            values.extend((0..self.rows).map(|row| self.values[row * self.columns + column]));
        }
        Matrix {
            rows: self.columns,
            columns: self.rows,
            values,
        }
    }

    /// The products of its rows with each other.
    fn gram(&self) -> Matrix {
        let mut values = vec![0.0; self.rows * self.rows];
        for left in 0..self.rows {
            for right in left..self.rows {
                let product = dot(self.row(left), self.row(right));
                values[left * self.rows + right] = product;
                values[right * self.rows + left] = product;
            }
        }
        Matrix {
            rows: self.rows,
            columns: self.rows,
            values,
        }
    }
}

/// In eight sums that are added in the end: the same for any machine.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    let mut sums = [0.0f64; 8];
    let (left_tiles, left_rest) = left.as_chunks::<8>();
    let (right_tiles, right_rest) = right.as_chunks::<8>();
    for (a, b) in left_tiles.iter().zip(right_tiles) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f64 = left_rest.iter().zip(right_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f64>() + rest
}

/// The norm of `up * down`, `up` being `[out, rank]` and `down` `[rank, in]`.
fn product_norm(up: &Matrix, down: &Matrix) -> Outcome<f64> {
    if up.columns != down.rows {
        return unmeasured(format!(
            "its factors do not fit: [{}, {}] and [{}, {}]",
            up.rows, up.columns, down.rows, down.columns
        ));
    }
    let (ups, downs) = (up.transposed().gram(), down.gram());
    // Rounding may leave a little less than nothing.
    Ok(dot(&ups.values, &downs.values).max(0.0).sqrt())
}

/// The tensors of one module.
struct Factors<'a> {
    pair: &'a Pair,
    tensors: &'a [Tensor],
}

impl Factors<'_> {
    fn change(&self) -> Outcome<Change> {
        let norm = match self.pair.method {
            Method::Lora | Method::Locon => self.low_rank()?,
            Method::Loha => self.hadamard()?,
            Method::Lokr => self.kronecker(1)? * self.kronecker(2)?,
            Method::Full => self.difference()?,
            Method::Oft | Method::Ia3 => {
                return unmeasured("what it changes depends on the model's weights");
            }
        };
        let alpha = self.alpha()?;
        Ok(Change {
            norm,
            alpha,
            scale: self.scale(alpha),
        })
    }

    /// Without alpha, and for kohya's of zero and below, the change counts as it is.
    fn scale(&self, alpha: Option<f64>) -> f64 {
        let whole = matches!(self.pair.method, Method::Full);
        match (alpha, self.pair.rank) {
            (Some(alpha), Some(rank)) if alpha > 0.0 && rank > 0 && !whole => {
                let rank = rank as f64;
                match self.pair.scaling.is_rank_stabilised {
                    true => alpha / rank.sqrt(),
                    false => alpha / rank,
                }
            }
            _ => 1.0,
        }
    }

    fn alpha(&self) -> Outcome<Option<f64>> {
        let Some(place) = self.pair.place(Role::Alpha) else {
            return Ok(self.pair.scaling.alpha);
        };
        let matrix = self.read(place)?;
        Ok(matrix.values.first().copied())
    }

    fn low_rank(&self) -> Outcome<f64> {
        let has = |role| self.pair.place(role).is_some();
        if has(Role::EmbeddingDown) {
            let up = self.need(Role::EmbeddingUp, "lora_embedding_B")?;
            return product_norm(&up, &self.need(Role::EmbeddingDown, "lora_embedding_A")?);
        }
        let up = self.need(Role::Up, "up")?;
        let down = self.need(Role::Down, "down")?;
        match has(Role::Mid) {
            true => product_norm(&up, &self.through_core(Role::Mid, &down)?),
            false => product_norm(&up, &down),
        }
    }

    /// `[n, columns * height * width]` from a core `[n, m, height, width]` and `[m, columns]`.
    fn through_core(&self, core: Role, right: &Matrix) -> Outcome<Matrix> {
        let Some(place) = self.pair.place(core) else {
            return unmeasured("its core is missing");
        };
        let shape = self
            .tensors
            .get(place)
            .map_or(&[][..], |t| t.shape.dimensions());
        let middle = shape
            .get(1)
            .and_then(|m| usize::try_from(*m).ok())
            .unwrap_or(0);
        let core = self.read(place)?;
        if middle == 0 || middle != right.rows || core.columns % middle != 0 {
            return unmeasured("its core does not fit its factors");
        }
        let kernel = core.columns / middle;
        let columns = right.columns * kernel;
        check_size(core.rows as u64, columns as u64)?;
        let mut values = vec![0.0; core.rows * columns];
        for row in 0..core.rows {
            let out = &mut values[row * columns..][..columns];
            for m in 0..middle {
                let weights = &core.row(row)[m * kernel..][..kernel];
                for (position, weight) in weights.iter().enumerate() {
                    let part = &mut out[position * right.columns..][..right.columns];
                    for (sum, value) in part.iter_mut().zip(right.row(m)) {
                        *sum += weight * value;
                    }
                }
            }
        }
        Ok(Matrix {
            rows: core.rows,
            columns,
            values,
        })
    }

    /// Two products, multiplied element by element: row by row, since no Gram matrix will do.
    fn hadamard(&self) -> Outcome<f64> {
        let (left_1, right_1) =
            self.half(Role::HadamardA1, Role::HadamardB1, Role::HadamardCore1)?;
        let (left_2, right_2) =
            self.half(Role::HadamardA2, Role::HadamardB2, Role::HadamardCore2)?;
        let fits = left_1.rows == left_2.rows
            && right_1.columns == right_2.columns
            && left_1.columns == right_1.rows
            && left_2.columns == right_2.rows;
        if !fits {
            return unmeasured("its factors do not fit each other");
        }
        let work = (left_1.rows as u64).saturating_mul(right_1.columns as u64);
        let work = work.saturating_mul(left_1.columns as u64 + left_2.columns as u64);
        if work > limits::ADAPTER_WORK {
            return unmeasured(format!(
                "takes {work} steps; the limit is {}",
                limits::ADAPTER_WORK
            ));
        }
        let mut first = vec![0.0; right_1.columns];
        let mut second = first.clone();
        let mut squares = 0.0;
        for row in 0..left_1.rows {
            combine(left_1.row(row), &right_1, &mut first);
            combine(left_2.row(row), &right_2, &mut second);
            for (a, b) in first.iter_mut().zip(&second) {
                *a *= b;
            }
            squares += dot(&first, &first);
        }
        Ok(squares.sqrt())
    }

    /// One of the two products: `[out, rank]` and `[rank, in ...]`.
    fn half(&self, left: Role, right: Role, core: Role) -> Outcome<(Matrix, Matrix)> {
        let (left, right) = (self.need(left, "a")?, self.need(right, "b")?);
        match self.pair.place(core) {
            // With a core the first factor lies the other way round.
            Some(_) => Ok((left.transposed(), self.through_core(core, &right)?)),
            None => Ok((left, right)),
        }
    }

    /// The norm of one side of a Kronecker product; that of the whole is their product.
    fn kronecker(&self, side: u8) -> Outcome<f64> {
        let (whole, a, b) = match side {
            1 => (Role::Kronecker1, Role::KroneckerA1, Role::KroneckerB1),
            _ => (Role::Kronecker2, Role::KroneckerA2, Role::KroneckerB2),
        };
        if let Some(place) = self.pair.place(whole) {
            let matrix = self.read(place)?;
            return Ok(dot(&matrix.values, &matrix.values).sqrt());
        }
        let (a, b) = (self.need(a, "a")?, self.need(b, "b")?);
        match (side, self.pair.place(Role::KroneckerCore)) {
            (2, Some(_)) => product_norm(
                &a.transposed(),
                &self.through_core(Role::KroneckerCore, &b)?,
            ),
            _ => product_norm(&a, &b),
        }
    }

    fn difference(&self) -> Outcome<f64> {
        let mut squares = 0.0;
        for role in [Role::Difference, Role::BiasDifference] {
            if let Some(place) = self.pair.place(role) {
                let matrix = self.read(place)?;
                squares += dot(&matrix.values, &matrix.values);
            }
        }
        Ok(squares.sqrt())
    }

    fn need(&self, role: Role, what: &str) -> Outcome<Matrix> {
        match self.pair.place(role) {
            Some(place) => self.read(place),
            None => unmeasured(format!("its `{what}` is missing")),
        }
    }

    /// A whole tensor as `f64`, its first dimension as rows.
    fn read(&self, place: usize) -> Outcome<Matrix> {
        let Some(tensor) = self.tensors.get(place) else {
            return unmeasured("a tensor of it is missing");
        };
        let dimensions = tensor.shape.dimensions();
        let rows = dimensions.first().copied().unwrap_or(1);
        let columns = dimensions.iter().skip(1).product::<u64>();
        check_size(rows, columns)?;
        let read = Reader::open(&tensor.cast(DType::F64))?.read_all()?;
        let (numbers, _) = read.as_chunks::<8>();
        let values: Vec<f64> = numbers
            .iter()
            .map(|bytes| f64::from_le_bytes(*bytes))
            .collect();
        if values.iter().any(|value| !value.is_finite()) {
            return Err(Failure::Problem(Problem::NotFinite(tensor.name.clone())));
        }
        Ok(Matrix {
            rows: usize::try_from(rows).unwrap_or(0),
            columns: usize::try_from(columns).unwrap_or(0),
            values,
        })
    }
}

/// `out = weights * rows`.
fn combine(weights: &[f64], rows: &Matrix, out: &mut [f64]) {
    out.fill(0.0);
    for (number, weight) in weights.iter().enumerate() {
        for (sum, value) in out.iter_mut().zip(rows.row(number)) {
            *sum += weight * value;
        }
    }
}

fn check_size(rows: u64, columns: u64) -> Outcome<()> {
    let elements = rows.saturating_mul(columns);
    match elements > limits::ADAPTER_MATRIX {
        true => unmeasured(format!(
            "has {elements} elements in one factor; the limit is {}",
            limits::ADAPTER_MATRIX
        )),
        false => Ok(()),
    }
}
