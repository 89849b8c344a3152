//! Floats as the bytes that they are in memory, and the reverse, without a copy.

/// `bytes` as little-endian `f32`; `None` where this machine cannot read them as such: they are
/// not aligned, or its byte order is another.
pub fn floats(bytes: &[u8]) -> Option<&[f32]> {
    // SAFETY: every four bytes are an `f32`.
    match unsafe { bytes.align_to::<f32>() } {
        ([], floats, []) if cfg!(target_endian = "little") => Some(floats),
        _ => None,
    }
}

/// As [`floats`], to be written to.
pub fn floats_mut(bytes: &mut [u8]) -> Option<&mut [f32]> {
    // SAFETY: every four bytes are an `f32`, and every `f32` is four bytes.
    match unsafe { bytes.align_to_mut::<f32>() } {
        ([], floats, []) if cfg!(target_endian = "little") => Some(floats),
        _ => None,
    }
}

/// The little-endian bytes of `floats`; `None` where this machine has another order.
pub fn bytes(floats: &[f32]) -> Option<&[u8]> {
    // SAFETY: every `f32` is four bytes, and bytes have no alignment.
    let (_, bytes, _) = unsafe { floats.align_to::<u8>() };
    cfg!(target_endian = "little").then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aligned_bytes_are_floats_and_others_are_not() {
        let mut values = [1.0f32, -2.5];
        let stored = bytes(&values).unwrap().to_vec();
        assert_eq!(stored[..4], 1f32.to_le_bytes());
        assert_eq!(floats(bytes(&values).unwrap()).unwrap(), [1.0, -2.5]);
        assert!(floats(&bytes(&values).unwrap()[1..5]).is_none());
        assert!(floats(&bytes(&values).unwrap()[..6]).is_none());
        values[0] = 3.0;
        let mut words = [0u8; 12];
        let skip = words.as_ptr().align_offset(4);
        floats_mut(&mut words[skip..skip + 8])
            .unwrap()
            .copy_from_slice(&values);
        assert_eq!(words[skip..skip + 4], 3f32.to_le_bytes());
    }
}
