//! One tensor: what it is and where its bytes lie.

use super::{Payload, Quantization};
use crate::dtype::DType;
use crate::error::{Error, Result};
use crate::limits;
use std::fmt;
use std::sync::Arc;

/// A named tensor. A plain value: cloning it copies no data.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// Its full name; unique within a checkpoint.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Dimensions, outermost first.
    pub shape: Shape,
    /// Where its bytes come from.
    pub payload: Payload,
    /// Scale and zero point, for PyTorch's quantised tensors.
    pub quantization: Option<Arc<Quantization>>,
    /// The earlier tensor that this one is another name of.
    pub tied_to: Option<String>,
}

impl Tensor {
    /// A tensor that is neither quantised nor tied.
    pub fn new(name: impl Into<String>, dtype: DType, shape: Shape, payload: Payload) -> Tensor {
        Tensor {
            name: name.into(),
            dtype,
            shape,
            payload,
            quantization: None,
            tied_to: None,
        }
    }

    /// The same elements in another dtype, cast as they are read; a copy if they have it.
    pub fn cast(&self, dtype: DType) -> Tensor {
        if self.dtype == dtype {
            return self.clone();
        }
        let payload = Payload::Cast(Arc::new(self.clone()));
        Tensor::new(self.name.clone(), dtype, self.shape.clone(), payload)
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.elements()
    }

    /// Bytes of the tensor written out contiguously; `None` for an unknown type.
    pub fn byte_len(&self) -> Option<u64> {
        self.dtype.byte_len(self.elements())
    }
}

/// Dimensions, outermost first. Their product is known to fit 63 bits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape {
    dimensions: Box<[u64]>,
}

impl Shape {
    /// A shape of these dimensions, outermost first; none for a scalar.
    ///
    /// Errors: `Limit` for over [`limits::DIMENSIONS`] of them, `Malformed` if their product
    /// exceeds 63 bits (whatever the order, and also where one of them is 0).
    pub fn new(dimensions: impl Into<Box<[u64]>>) -> Result<Shape> {
        let dimensions = dimensions.into();
        if dimensions.len() > limits::DIMENSIONS {
            let found = dimensions.len();
            let allowed = limits::DIMENSIONS;
            return Err(Error::limit(format!(
                "shape has {found} dimensions; the limit is {allowed}"
            )));
        }
        let mut product: u64 = 1;
        for &dimension in &dimensions {
            let next = product.checked_mul(dimension.max(1));
            product = next.filter(|&p| p <= i64::MAX as u64).ok_or_else(|| {
                Error::malformed(format!("shape {dimensions:?} has more than 2^63 elements"))
            })?;
        }
        Ok(Shape { dimensions })
    }

    /// The shape of a single value.
    pub fn scalar() -> Shape {
        Shape {
            dimensions: Box::new([]),
        }
    }

    /// The dimensions, outermost first.
    pub fn dimensions(&self) -> &[u64] {
        &self.dimensions
    }

    /// How many dimensions.
    pub fn rank(&self) -> usize {
        self.dimensions.len()
    }

    /// Number of elements: the product of the dimensions, 1 for a scalar.
    pub fn elements(&self) -> u64 {
        self.dimensions.iter().product()
    }

    /// Elements in the innermost dimension; 1 for a scalar.
    pub fn row_elements(&self) -> u64 {
        self.dimensions.last().copied().unwrap_or(1)
    }

    /// The strides, in elements, of the shape stored row by row.
    pub fn row_major_strides(&self) -> Vec<u64> {
        let mut strides = vec![1; self.rank()];
        for axis in (1..self.rank()).rev() {
            strides[axis - 1] = strides[axis] * self.dimensions[axis].max(1);
        }
        strides
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<String> = self.dimensions.iter().map(u64::to_string).collect();
        f.pad(&format!("[{}]", words.join(", ")))
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_a_product_that_overflows_even_beside_a_zero() {
        assert!(Shape::new([1 << 32, 1 << 31]).is_err());
        assert!(Shape::new([u64::MAX, 0, u64::MAX]).is_err());
        assert!(Shape::new([0; limits::DIMENSIONS + 1]).is_err());
        assert_eq!(Shape::new([3, 0, 5]).unwrap().elements(), 0);
        assert_eq!(Shape::scalar().elements(), 1);
    }

    #[test]
    fn strides_are_row_major() {
        assert_eq!(
            Shape::new([2, 3, 4]).unwrap().row_major_strides(),
            [12, 4, 1]
        );
        assert_eq!(Shape::new([2, 3, 4]).unwrap().to_string(), "[2, 3, 4]");
    }
}
