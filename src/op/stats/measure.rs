//! One run of one tensor: read in pieces that stay in the cache, measured tile by tile.

use super::moments::Moments;
use super::sketch::{Counter, Keys, Sketch};
use crate::dtype::{Class, DType};
use crate::error::Result;
use crate::kernel::InstructionSet;
use crate::kernel::count::count_bytes;
use crate::kernel::lossless::{self, Exact};
use crate::kernel::moments::{Narrow, TILE, Tile, measure, measure_f64, measure_i64, measure_u64};
use crate::model::{Payload, Quantization, Storage, Tensor};
use crate::op::work::as_f32;
use crate::parallel::Progress;
use crate::stream::{Reader, Scratch};

/// Elements after which counters of 32 bits are emptied.
const FLUSH: u64 = 1 << 30;

/// How elements of a dtype become numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// Read as `f32` in registers.
    Narrow(Narrow),
    /// One byte each: counted, since there are 256 of them at most.
    Codes,
    /// Widened to `f64` exactly.
    F64,
    I32,
    U32,
    /// As integers, exactly.
    I64,
    U64,
    /// The magnitude of a pair of floats.
    C32,
    C64,
    C128,
}

impl Route {
    /// Elements that are `f32`.
    pub(super) const F32: Route = Route::Narrow(Narrow::F32);

    /// `None` for a dtype that must be cast to `f32` first.
    pub(super) fn of(tensor: &Tensor) -> Option<Route> {
        Some(match tensor.dtype {
            DType::F32 => Route::Narrow(Narrow::F32),
            DType::F16 => Route::Narrow(Narrow::F16),
            DType::BF16 => Route::Narrow(Narrow::Bf16),
            DType::I16 => Route::Narrow(Narrow::I16),
            DType::U16 => Route::Narrow(Narrow::U16),
            DType::F64 => Route::F64,
            DType::I32 => Route::I32,
            DType::U32 => Route::U32,
            DType::I64 => Route::I64,
            DType::U64 => Route::U64,
            DType::C32 => Route::C32,
            DType::C64 => Route::C64,
            DType::C128 => Route::C128,
            dtype if dtype.element_bytes() == Some(1) => match tensor.quantization.as_deref() {
                None if dtype.class() == Class::Quantized => return None,
                Some(Quantization::PerChannel { .. }) => return None,
                _ => Route::Codes,
            },
            _ => return None,
        })
    }

    /// What a sketch of such elements counts.
    pub(super) fn keys(self) -> Keys {
        match self {
            Route::Narrow(Narrow::F32) => Keys::Buckets,
            Route::Narrow(kind) => Keys::Bits(kind),
            _ => Keys::Buckets,
        }
    }
}

/// What one thread keeps between runs.
pub(super) struct Worker {
    instructions: InstructionSet,
    /// Bytes that are read at once.
    chunk_bytes: usize,
    bytes: Vec<u8>,
    scratch: Scratch,
    wide: Box<[f64; TILE]>,
    long: Box<[i64; TILE]>,
    counter: Counter,
    /// What the codes of the last tensor of such stand for.
    codes: Option<(DType, Box<[f64; 256]>)>,
}

impl Worker {
    pub(super) fn new(instructions: InstructionSet, chunk_bytes: usize) -> Worker {
        Worker {
            instructions,
            chunk_bytes,
            bytes: Vec::new(),
            scratch: Scratch::default(),
            wide: Box::new([0.0; TILE]),
            long: Box::new([0; TILE]),
            counter: Counter::new(instructions),
            codes: None,
        }
    }

    /// Measures elements `first .. first + elements` of a tensor; `first` is a multiple of
    /// [`TILE`]. Their values are counted in `sketch` if there is one.
    pub(super) fn measure(
        &mut self,
        reader: &Reader<'_>,
        route: Route,
        (first, elements): (u64, u64),
        mut sketch: Option<&mut Sketch>,
        progress: &dyn Progress,
    ) -> Result<Moments> {
        let element_bytes = reader.tensor().dtype.element_bytes().unwrap_or(1) as usize;
        let tiles = (self.chunk_bytes / (TILE * element_bytes)).max(1);
        let step = (tiles * TILE) as u64;
        let mut counts = [0u64; 256];
        let mut moments = Moments::EMPTY;
        if sketch.is_some() {
            self.counter.begin(elements);
        }
        if route == Route::Codes {
            self.prepare_codes(reader.tensor())?;
        }
        let mut done = 0;
        let mut unflushed = 0;
        while done < elements {
            let count = step.min(elements - done);
            let mut bytes = std::mem::take(&mut self.bytes);
            let read = reader.read(first + done, count, &mut bytes, &mut self.scratch);
            self.bytes = bytes;
            read?;
            match route {
                Route::Codes => self.count_codes(&mut counts, &mut moments, done),
                _ => self.measure_tiles(route, element_bytes, &mut moments, sketch.as_deref_mut()),
            }
            done += count;
            unflushed += count;
            if let Some(sketch) = sketch.as_deref_mut().filter(|_| unflushed >= FLUSH) {
                self.counter.flush(sketch);
                unflushed = 0;
            }
            progress.add(self.bytes.len() as u64);
        }
        if route == Route::Codes {
            self.finish_codes(&counts, &mut moments, sketch.as_deref_mut());
        }
        if let Some(sketch) = sketch {
            self.counter.flush(sketch);
        }
        Ok(moments)
    }

    /// Measures what was read, tile by tile.
    fn measure_tiles(
        &mut self,
        route: Route,
        element_bytes: usize,
        moments: &mut Moments,
        mut sketch: Option<&mut Sketch>,
    ) {
        let bytes = std::mem::take(&mut self.bytes);
        for bytes in bytes.chunks(TILE * element_bytes) {
            let tile = self.measure_tile(route, bytes, sketch.as_deref_mut());
            let elements = (bytes.len() / element_bytes) as u64;
            let mut next = Moments::of(&tile, elements);
            next.exact = self.exact(route, bytes, moments.exact);
            moments.append(&next);
        }
        self.bytes = bytes;
    }

    /// Which of the smaller floats in `hoped` hold a tile.
    fn exact(&self, route: Route, bytes: &[u8], hoped: Exact) -> Exact {
        match route {
            Route::F32 => lossless::of_f32(self.instructions, bytes, hoped),
            Route::F64 => lossless::of_f64(self.instructions, bytes, hoped),
            _ => hoped,
        }
    }

    fn measure_tile(&mut self, route: Route, bytes: &[u8], sketch: Option<&mut Sketch>) -> Tile {
        match route {
            Route::Narrow(kind) => {
                if let Some(sketch) = sketch {
                    self.counter.count_narrow(kind, bytes, sketch);
                }
                measure(self.instructions, kind, bytes)
            }
            Route::I64 | Route::U64 => {
                let (words, _) = bytes.as_chunks::<8>();
                let flip = if route == Route::U64 { i64::MIN } else { 0 };
                for (long, &word) in self.long.iter_mut().zip(words) {
                    *long = i64::from_le_bytes(word) ^ flip;
                }
                let values = &self.long[..words.len()];
                if let Some(sketch) = sketch {
                    let wide = self.wide.iter_mut().zip(values);
                    wide.for_each(|(wide, &long)| {
                        *wide = match route {
                            Route::U64 => (long ^ flip) as u64 as f64,
                            _ => long as f64,
                        };
                    });
                    let wide = &self.wide[..values.len()];
                    self.counter.count_values(wide, sketch);
                }
                match route {
                    Route::U64 => measure_u64(values),
                    _ => measure_i64(values),
                }
            }
            _ => {
                let count = widen(route, bytes, &mut self.wide);
                let values = &self.wide[..count];
                if let Some(sketch) = sketch {
                    self.counter.count_values(values, sketch);
                }
                measure_f64(self.instructions, values)
            }
        }
    }

    /// Looks up what each byte of this tensor stands for.
    fn prepare_codes(&mut self, tensor: &Tensor) -> Result<()> {
        let is_plain = tensor.quantization.is_none();
        if is_plain
            && self
                .codes
                .as_ref()
                .is_some_and(|(dtype, _)| *dtype == tensor.dtype)
        {
            return Ok(());
        }
        let mut values = Box::new([0.0; 256]);
        let every: Vec<u8> = (0..=255).collect();
        let mut codes = tensor.clone();
        codes.shape = crate::model::Shape::new([256])?;
        codes.payload = Payload::Stored(Storage::inline(every));
        let cast = as_f32(codes);
        let bytes = Reader::open(&cast)?.read_all()?;
        for (value, &word) in values.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = f64::from(f32::from_le_bytes(word));
        }
        self.codes = Some((tensor.dtype, values));
        if !is_plain {
            // Another tensor of this dtype has another scale.
            if let Some((dtype, _)) = &mut self.codes {
                *dtype = DType::Unknown(0);
            }
        }
        Ok(())
    }

    fn count_codes(&mut self, counts: &mut [u64; 256], moments: &mut Moments, done: u64) {
        let mut here = [0u64; 256];
        count_bytes(&self.bytes, &mut here);
        let Some((_, values)) = &self.codes else {
            return;
        };
        let mut codes = here.iter().zip(values.iter());
        let is_nonfinite = codes.any(|(&count, value)| count > 0 && !value.is_finite());
        if is_nonfinite && moments.first_nonfinite.is_none() {
            let mut bytes = self.bytes.iter();
            let place = bytes.position(|&byte| !values[usize::from(byte)].is_finite());
            moments.first_nonfinite = place.map(|place| done + place as u64);
        }
        for (total, count) in counts.iter_mut().zip(here) {
            *total += count;
        }
    }

    fn finish_codes(
        &mut self,
        counts: &[u64; 256],
        moments: &mut Moments,
        sketch: Option<&mut Sketch>,
    ) {
        let Some((_, values)) = &self.codes else {
            return;
        };
        let first_nonfinite = moments.first_nonfinite;
        *moments = Moments::of_codes(counts, values);
        moments.first_nonfinite = first_nonfinite;
        if let Some(sketch) = sketch {
            let used = counts.iter().zip(values.iter());
            for (&count, &value) in used.filter(|(count, value)| **count > 0 && value.is_finite()) {
                sketch.add(value, count);
            }
        }
    }
}

/// Fills `wide` with the elements in `bytes` and returns how many there are.
fn widen(route: Route, bytes: &[u8], wide: &mut [f64; TILE]) -> usize {
    fn each<const BYTES: usize>(
        bytes: &[u8],
        wide: &mut [f64; TILE],
        value_of: impl Fn([u8; BYTES]) -> f64,
    ) -> usize {
        let (elements, _) = bytes.as_chunks::<BYTES>();
        for (wide, &element) in wide.iter_mut().zip(elements) {
            *wide = value_of(element);
        }
        elements.len()
    }
    match route {
        Route::I32 => each(bytes, wide, |b| f64::from(i32::from_le_bytes(b))),
        Route::U32 => each(bytes, wide, |b| f64::from(u32::from_le_bytes(b))),
        Route::C32 => each(bytes, wide, |[a, b, c, d]: [u8; 4]| {
            let half = |low, high| Narrow::F16.value_of(u16::from_le_bytes([low, high]));
            magnitude(half(a, b), half(c, d))
        }),
        Route::C64 => each(bytes, wide, |element: [u8; 8]| {
            let part = |part: [u8; 4]| f64::from(f32::from_le_bytes(part));
            let [real, imaginary] = halves(&element).map(part);
            magnitude(real, imaginary)
        }),
        Route::C128 => each(bytes, wide, |element: [u8; 16]| {
            let [real, imaginary] = halves(&element).map(f64::from_le_bytes);
            magnitude(real, imaginary)
        }),
        _ => each(bytes, wide, f64::from_le_bytes),
    }
}

/// The two halves of an element.
fn halves<const HALF: usize>(element: &[u8]) -> [[u8; HALF]; 2] {
    let (halves, _) = element.as_chunks::<HALF>();
    std::array::from_fn(|index| halves.get(index).copied().unwrap_or([0; HALF]))
}

/// The magnitude of a complex number, the same on every machine (`hypot` is not). NaN if a part
/// is NaN, even beside an infinite one.
fn magnitude(real: f64, imaginary: f64) -> f64 {
    if real.is_nan() || imaginary.is_nan() {
        return f64::NAN;
    }
    let larger = real.abs().max(imaginary.abs());
    // Squares of numbers in this range neither overflow nor vanish.
    let scale = match larger {
        _ if larger > 1e150 => 1e-150,
        _ if larger < 1e-140 => 1e150,
        _ => 1.0,
    };
    let (real, imaginary) = (real * scale, imaginary * scale);
    (real * real + imaginary * imaginary).sqrt() / scale
}
