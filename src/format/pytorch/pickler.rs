//! The pickle of a flat dict of tensors, as `torch.save` writes it.
//!
//! Protocol 2; every object but empty tuples is memoised when it is made, as Python's pickler
//! does, and fetched from the memo when it occurs again.

use super::quantizer::Quantizer;
use std::collections::HashMap;

/// Entries that are set at once: the pickler's `_BATCHSIZE`.
const BATCH: usize = 1000;

/// One entry of the dict.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry<'a> {
    /// Its key.
    pub(super) name: &'a str,
    /// Which storage it lies in.
    pub(super) storage: usize,
    /// How PyTorch calls its type.
    pub(super) element: Element,
    /// Dimensions, outermost first, in PyTorch's elements.
    pub(super) size: &'a [u64],
    /// Elements of the storage, or bytes where it has no type or they are less than a byte.
    pub(super) storage_len: u64,
    /// What its integers stand for, if it is quantised.
    pub(super) quantizer: Option<&'a Quantizer>,
}

/// How PyTorch calls an element type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// It has a storage class: `Float` of `torch.FloatStorage`.
    Class(&'static str),
    /// It has only a dtype: `torch.uint16` over an untyped storage.
    Name(&'static str),
}

/// The pickle of a dict of `entries`, in their order.
pub(super) fn pickle<'a>(entries: impl ExactSizeIterator<Item = Entry<'a>>) -> Vec<u8> {
    let mut pickler = Pickler::default();
    pickler.out.extend_from_slice(b"\x80\x02}");
    pickler.memoize();
    let count = entries.len();
    if count == 1 {
        entries.for_each(|entry| pickler.entry(&entry));
        pickler.out.push(b's');
    } else if count > 0 {
        for (index, entry) in entries.enumerate() {
            if index.is_multiple_of(BATCH) {
                pickler.out.push(b'(');
            }
            pickler.entry(&entry);
            if index % BATCH == BATCH - 1 {
                pickler.out.push(b'u');
            }
        }
        // A last full batch is followed by an empty one.
        if count.is_multiple_of(BATCH) {
            pickler.out.push(b'(');
        }
        pickler.out.push(b'u');
    }
    pickler.out.push(b'.');
    pickler.out
}

/// What may occur again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Shared {
    Text(&'static str),
    Global(&'static str, &'static str),
    /// `StemStorage` of module `torch`.
    StorageClass(&'static str),
    /// The key of a storage.
    Key(usize),
}

#[derive(Default)]
struct Pickler {
    out: Vec<u8>,
    memo: HashMap<Shared, u32>,
    /// Tensors of scales and zero points, by storage.
    channels: HashMap<usize, u32>,
    memoized: u32,
}

impl Pickler {
    fn entry(&mut self, entry: &Entry<'_>) {
        self.text(entry.name);
        match entry.quantizer {
            Some(quantizer) => self.quantized(entry, quantizer),
            None => self.plain(entry),
        }
    }

    /// `_rebuild_qtensor(storage, 0, size, strides, (scheme, ...), False, OrderedDict())`.
    ///
    /// Whether zero points are floats does not show in the scheme. Source: torch/_tensor.py
    /// (`_reduce_ex_internal`).
    fn quantized(&mut self, entry: &Entry<'_>, quantizer: &Quantizer) {
        let Element::Class(stem) = entry.element else {
            return self.plain(entry);
        };
        self.shared(Shared::Global("torch._utils", "_rebuild_qtensor"));
        self.out.push(b'(');
        self.view(entry, Shared::StorageClass(stem));
        match quantizer {
            Quantizer::PerTensor { scale, zero_point } => {
                self.shared(Shared::Global("torch", "per_tensor_affine"));
                self.float(*scale);
                self.integer(*zero_point);
                self.out.push(0x87);
            }
            Quantizer::PerChannel { parts, count, axis } => {
                self.out.push(b'(');
                self.shared(Shared::Global("torch", "per_channel_affine"));
                for (part, number) in parts.iter().zip(1usize..) {
                    self.shared_plain(&Entry {
                        name: "",
                        storage: entry.storage.saturating_add(number),
                        element: part.element,
                        size: &[*count],
                        storage_len: *count,
                        quantizer: None,
                    });
                }
                self.integer(*axis);
                self.out.push(b't');
            }
        }
        self.memoize();
        self.no_hooks();
        self.out.push(b't');
        self.memoize();
        self.out.push(b'R');
        self.memoize();
    }

    /// Scales or zero points: other names of the tensor share them.
    fn shared_plain(&mut self, entry: &Entry<'_>) {
        if let Some(&at) = self.channels.get(&entry.storage) {
            return self.numbered(at, b'h', b'j');
        }
        self.plain(entry);
        let at = self.memoized.saturating_sub(1);
        self.channels.insert(entry.storage, at);
    }

    fn plain(&mut self, entry: &Entry<'_>) {
        let (function, class) = match entry.element {
            Element::Class(stem) => ("_rebuild_tensor_v2", Shared::StorageClass(stem)),
            Element::Name(_) => {
                let untyped = Shared::Global("torch.storage", "UntypedStorage");
                ("_rebuild_tensor_v3", untyped)
            }
        };
        self.shared(Shared::Global("torch._utils", function));
        self.out.push(b'(');
        self.view(entry, class);
        self.no_hooks();
        if let Element::Name(name) = entry.element {
            self.shared(Shared::Global("torch", name));
        }
        self.out.push(b't');
        self.memoize();
        self.out.push(b'R');
        self.memoize();
    }

    /// Storage, first element, dimensions, strides.
    fn view(&mut self, entry: &Entry<'_>, class: Shared) {
        self.storage(entry, class);
        self.integer(0u64);
        self.tuple(entry.size.iter().copied());
        self.tuple(strides(entry.size).into_iter());
    }

    /// Needs no gradient; no hooks.
    fn no_hooks(&mut self) {
        self.out.push(0x89);
        self.shared(Shared::Global("collections", "OrderedDict"));
        self.out.extend_from_slice(b")R");
        self.memoize();
    }

    /// The persistent id `('storage', class, key, 'cpu', elements)`.
    fn storage(&mut self, entry: &Entry<'_>, class: Shared) {
        self.out.push(b'(');
        self.shared(Shared::Text("storage"));
        self.shared(class);
        self.shared(Shared::Key(entry.storage));
        self.shared(Shared::Text("cpu"));
        self.integer(entry.storage_len);
        self.out.push(b't');
        self.memoize();
        self.out.push(b'Q');
    }

    fn shared(&mut self, shared: Shared) {
        if let Some(&at) = self.memo.get(&shared) {
            return self.numbered(at, b'h', b'j');
        }
        self.memo.insert(shared, self.memoized);
        match shared {
            Shared::Text(text) => self.text(text),
            Shared::Key(key) => self.text(&key.to_string()),
            Shared::Global(module, name) => self.global(module, name),
            Shared::StorageClass(stem) => self.global("torch", &format!("{stem}Storage")),
        }
    }

    fn global(&mut self, module: &str, name: &str) {
        self.out.push(b'c');
        for part in [module, name] {
            self.out.extend_from_slice(part.as_bytes());
            self.out.push(b'\n');
        }
        self.memoize();
    }

    fn text(&mut self, text: &str) {
        // Names are bounded where they are read.
        let len = u32::try_from(text.len()).unwrap_or(u32::MAX);
        self.out.push(b'X');
        self.out.extend_from_slice(&len.to_le_bytes());
        self.out.extend_from_slice(text.as_bytes());
        self.memoize();
    }

    fn tuple(&mut self, items: impl ExactSizeIterator<Item = u64>) {
        let close = match items.len() {
            0 => return self.out.push(b')'),
            1 => 0x85,
            2 => 0x86,
            3 => 0x87,
            _ => {
                self.out.push(b'(');
                b't'
            }
        };
        items.for_each(|item| self.integer(item));
        self.out.push(close);
        self.memoize();
    }

    fn float(&mut self, number: f64) {
        self.out.push(b'G');
        self.out.extend_from_slice(&number.to_be_bytes());
    }

    fn integer(&mut self, number: impl Into<i128>) {
        let number: i128 = number.into();
        if let Ok(byte) = u8::try_from(number) {
            self.out.extend_from_slice(&[b'K', byte]);
        } else if let Ok(short) = u16::try_from(number) {
            self.out.push(b'M');
            self.out.extend_from_slice(&short.to_le_bytes());
        } else if let Ok(int) = i32::try_from(number) {
            self.out.push(b'J');
            self.out.extend_from_slice(&int.to_le_bytes());
        } else {
            // Two's complement, as short as it can be with its sign.
            let bytes = number.to_le_bytes();
            let magnitude = if number < 0 { !number } else { number };
            let bits = i128::BITS.saturating_sub(magnitude.leading_zeros()) as usize;
            let len = (bits / 8).saturating_add(1);
            self.out.push(0x8a);
            self.out.extend(u8::try_from(len));
            self.out.extend(bytes.iter().take(len));
        }
    }

    fn memoize(&mut self) {
        self.numbered(self.memoized, b'q', b'r');
        self.memoized = self.memoized.saturating_add(1);
    }

    fn numbered(&mut self, number: u32, short: u8, long: u8) {
        match u8::try_from(number) {
            Ok(number) => self.out.extend_from_slice(&[short, number]),
            Err(_) => {
                self.out.push(long);
                self.out.extend_from_slice(&number.to_le_bytes());
            }
        }
    }
}

/// Strides of a contiguous tensor, as PyTorch counts them.
fn strides(size: &[u64]) -> Vec<u64> {
    let mut strides = vec![1u64; size.len()];
    let mut step = 1u64;
    for (stride, dimension) in strides.iter_mut().zip(size).rev() {
        *stride = step;
        step = step.saturating_mul((*dimension).max(1));
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    // Python: pickle.dumps({}, 2) and of the integers.
    #[test]
    fn integers_are_as_short_as_pythons() {
        assert_eq!(pickle(std::iter::empty()), b"\x80\x02}q\0.");
        let of = |number: i128| {
            let mut pickler = Pickler::default();
            pickler.integer(number);
            pickler.out
        };
        assert_eq!(of(255), b"K\xff");
        assert_eq!(of(65_535), b"M\xff\xff");
        assert_eq!(of(0x7fff_ffff), b"J\xff\xff\xff\x7f");
        assert_eq!(of(0x8000_0000), b"\x8a\x05\0\0\0\x80\0");
        assert_eq!(of(1 << 40), b"\x8a\x06\0\0\0\0\0\x01");
        let largest = i128::from(u64::MAX);
        assert_eq!(of(largest), b"\x8a\x09\xff\xff\xff\xff\xff\xff\xff\xff\0");
        assert_eq!(of(-1), b"J\xff\xff\xff\xff");
        assert_eq!(of(-0x8000_0000), b"J\0\0\0\x80");
        assert_eq!(of(-0x8000_0001), b"\x8a\x05\xff\xff\xff\x7f\xff");
        assert_eq!(of(-1 << 39), b"\x8a\x05\0\0\0\0\x80");
    }

    // torch.save of 1000 and of 1001 tensors: batches of a thousand, the last may be empty.
    #[test]
    fn entries_are_set_in_batches() {
        let of = |count: usize| {
            let entry = |storage| Entry {
                name: "n",
                storage,
                element: Element::Class("Float"),
                size: &[],
                storage_len: 1,
                quantizer: None,
            };
            pickle((0..count).map(entry))
        };
        assert!(of(1).ends_with(b"s."));
        assert!(of(2).ends_with(b"u."));
        // The last thing before is a memo entry: `r`, u32.
        let thousand = of(1000);
        assert!(thousand.ends_with(b"u(u."));
        assert_eq!(thousand[thousand.len() - 9], b'r');
        let more = of(1001);
        assert!(more.ends_with(b"u.") && !more.ends_with(b"(u."));
    }

    #[test]
    fn strides_count_empty_dimensions_as_one() {
        assert_eq!(strides(&[2, 3, 4]), [12, 4, 1]);
        assert_eq!(strides(&[0, 3]), [3, 1]);
        assert_eq!(strides(&[2, 0]), [1, 1]);
    }
}
