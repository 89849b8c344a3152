//! A value in eight bytes: itself, or where it lies in the graph's pools.

/// A value of a pickle: a small one, or a place in the pools of a [`Graph`](super::Graph).
///
/// Equal items are the same object. The lowest four bits say what it is, the other sixty what
/// it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Item(u64);

/// What an item is. The payload of each is given behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    /// 0: None, 1: False, 2: True, 3: no value at all.
    Constant,
    /// The number itself, 60 bits, signed.
    Int,
    /// Index of `floats`.
    Float,
    /// Span of `text`: 40 bits of start, 20 of length.
    Text,
    /// Span of `text`.
    Bytes,
    /// Span of `text`.
    ByteString,
    /// Index of `globals`.
    Global,
    /// Span of `items`: 36 bits of start, 24 of length.
    Tuple,
    /// Index of `lists`.
    List,
    /// Index of `lists`.
    Set,
    /// Index of `dicts`.
    Dict,
    /// Index of `calls`.
    Call,
    /// Index of `persistent`.
    Persistent,
    /// Index of `longs`.
    Long,
    /// Index of `long_texts`.
    LongText,
}

const TAG_BITS: u32 = 4;
const TEXT_LENGTH_BITS: u32 = 20;
const TUPLE_LENGTH_BITS: u32 = 24;

impl Item {
    /// Python's `None`.
    pub const NONE: Item = Item(0);
    pub(super) const FALSE: Item = Item(1 << TAG_BITS);
    pub(super) const TRUE: Item = Item(2 << TAG_BITS);
    /// No value: an empty place of the memo, a call without state.
    pub const ABSENT: Item = Item(3 << TAG_BITS);

    pub(super) fn new(tag: Tag, payload: u64) -> Item {
        Item(payload << TAG_BITS | tag as u64)
    }

    /// A number, if it fits 60 bits.
    pub(super) fn int(value: i64) -> Option<Item> {
        let shifted = value << TAG_BITS;
        (shifted >> TAG_BITS == value).then_some(Item(shifted.cast_unsigned() | Tag::Int as u64))
    }

    pub(super) fn text(tag: Tag, start: u64, length: u64) -> Item {
        Item::new(tag, start << TEXT_LENGTH_BITS | length)
    }

    pub(super) fn tuple(start: u64, length: u64) -> Item {
        Item::new(Tag::Tuple, start << TUPLE_LENGTH_BITS | length)
    }

    /// Whether this is no value.
    pub fn is_absent(self) -> bool {
        self == Item::ABSENT
    }

    pub(super) fn tag(self) -> Tag {
        match self.0 & 15 {
            0 => Tag::Constant,
            1 => Tag::Int,
            2 => Tag::Float,
            3 => Tag::Text,
            4 => Tag::Bytes,
            5 => Tag::ByteString,
            6 => Tag::Global,
            7 => Tag::Tuple,
            8 => Tag::List,
            9 => Tag::Set,
            10 => Tag::Dict,
            11 => Tag::Call,
            12 => Tag::Persistent,
            13 => Tag::Long,
            _ => Tag::LongText,
        }
    }

    pub(super) fn payload(self) -> u64 {
        self.0 >> TAG_BITS
    }

    /// The payload as an index of a pool.
    pub(super) fn index(self) -> usize {
        usize::try_from(self.payload()).unwrap_or(usize::MAX)
    }

    pub(super) fn signed(self) -> i64 {
        self.0.cast_signed() >> TAG_BITS
    }

    /// Start and length of a span of text.
    pub(super) fn text_span(self) -> (usize, usize) {
        self.span(TEXT_LENGTH_BITS)
    }

    /// Start and length of a tuple.
    pub(super) fn tuple_span(self) -> (usize, usize) {
        self.span(TUPLE_LENGTH_BITS)
    }

    fn span(self, length_bits: u32) -> (usize, usize) {
        let mask = (1u64 << length_bits).wrapping_sub(1);
        let start = usize::try_from(self.payload() >> length_bits).unwrap_or(usize::MAX);
        let length = usize::try_from(self.payload() & mask).unwrap_or(usize::MAX);
        (start, length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_sixty_bits_come_back() {
        for value in [0, -1, 1, i64::from(i32::MIN), (1 << 59) - 1, -(1 << 59)] {
            let item = Item::int(value).unwrap();
            assert_eq!(item.tag(), Tag::Int);
            assert_eq!(item.signed(), value);
        }
        assert_eq!(Item::int(1 << 59), None);
        assert_eq!(Item::int(i64::MIN), None);
    }

    #[test]
    fn spans_come_back() {
        assert_eq!(
            Item::text(Tag::Bytes, 1 << 30, 1024).text_span(),
            (1 << 30, 1024)
        );
        assert_eq!(
            Item::tuple(1 << 28, 1_000_000).tuple_span(),
            (1 << 28, 1_000_000)
        );
        assert_eq!(Item::tuple(0, 3).tag(), Tag::Tuple);
    }
}
