//! Tensors of several parts: quantised with their scales, sparse, nested.

use super::*;

impl Unpickled {
    /// `(scheme, scale, zero_point)` or `(scheme, scales, zero_points, axis)`.
    pub(super) fn quantization(&self, parameters: Item, shape: &Shape) -> Result<Quantization> {
        let parts = self.graph.sequence(parameters).unwrap_or_default();
        let wrong = || Error::malformed("quantisation parameters are not understood");
        match *parts {
            [_, scale, zero_point] => Ok(Quantization::PerTensor {
                scale: self.float(scale).ok_or_else(wrong)?,
                zero_point: self.graph.int(zero_point).ok_or_else(wrong)?,
            }),
            [_, scales, zero_points, axis] => {
                let axis = self.count(axis, "axis")?;
                let scales = self.channel_values(scales)?;
                let zero_points = self.channel_values(zero_points)?;
                let index = usize::try_from(axis).unwrap_or(usize::MAX);
                let channels = shape.dimensions().get(index).copied();
                let fits = |built: &Built| Some(built.shape.elements()) == channels;
                if !fits(&scales) || !fits(&zero_points) {
                    return Err(Error::malformed(format!(
                        "has {} scales and {} zero points for axis {axis} of shape {shape}",
                        scales.shape.elements(),
                        zero_points.shape.elements()
                    )));
                }
                Ok(Quantization::PerChannel {
                    scales: Box::new(scales.named("scale")),
                    zero_points: Box::new(zero_points.named("zero_point")),
                    axis,
                })
            }
            _ => Err(wrong()),
        }
    }

    pub(super) fn float(&self, item: Item) -> Option<f64> {
        match self.graph.view(item) {
            View::Float(value) => Some(value),
            View::Int(value) => Some(value as f64),
            _ => None,
        }
    }

    /// One value a channel: a tensor, in old files a list.
    pub(super) fn channel_values(&self, item: Item) -> Result<Built> {
        if let Some(built) = self.built(item)? {
            return Ok(built);
        }
        let items = self.graph.sequence(item).unwrap_or_default();
        let shape = Shape::new([items.len() as u64])?;
        let ints: Option<Vec<i64>> = items.iter().map(|&item| self.graph.int(item)).collect();
        if let Some(ints) = ints {
            let bytes: Vec<u8> = ints.iter().flat_map(|v| v.to_le_bytes()).collect();
            return Ok(Built::new(DType::I64, shape, stored(bytes)));
        }
        let floats: Option<Vec<f64>> = items.iter().map(|&item| self.float(item)).collect();
        let floats = floats
            .ok_or_else(|| Error::malformed("quantisation parameters hold what is no number"))?;
        let bytes: Vec<u8> = floats.iter().flat_map(|v| v.to_le_bytes()).collect();
        Ok(Built::new(DType::F64, shape, stored(bytes)))
    }

    /// Python: `(layout, (indices, values, size, ..))`, or
    /// `(layout, (compressed, plain, values, size))`. TorchScript: `(layout number, size,
    /// requires_grad, indices.., values, hooks)`.
    pub(super) fn sparse(&self, args: &[Item]) -> Result<Built> {
        let wrong = || Error::malformed("a sparse tensor lacks its parts");
        let (&layout, rest) = args.split_first().ok_or_else(wrong)?;
        let layout = self.sparse_layout(layout)?;
        let (indices, values, size) = if args.len() > 2 {
            match (layout, rest) {
                (SparseLayout::Coo, &[size, _, indices, values, ..]) => {
                    (vec![indices], values, size)
                }
                (_, &[size, _, compressed, plain, values, ..]) => {
                    (vec![compressed, plain], values, size)
                }
                _ => return Err(wrong()),
            }
        } else {
            let parts = rest.first().and_then(|&parts| self.graph.sequence(parts));
            match (layout, parts.unwrap_or_default()) {
                (SparseLayout::Coo, &[indices, values, size, ..]) => (vec![indices], values, size),
                (_, &[compressed, plain, values, size, ..]) => {
                    (vec![compressed, plain], values, size)
                }
                _ => return Err(wrong()),
            }
        };
        let mut parts = Vec::new();
        for (index, item) in indices.into_iter().chain([values]).enumerate() {
            let built = self.built(item)?.ok_or_else(wrong)?;
            parts.push(built.named(&format!("part {index}")));
        }
        let dtype = parts.last().map_or(DType::F32, |values| values.dtype);
        let payload = Payload::Sparse {
            layout,
            parts: parts.into(),
        };
        Ok(Built::new(dtype, self.shape(size)?, payload))
    }

    /// `_get_layout('torch.sparse_coo')`, or TorchScript's number.
    ///
    /// Source: c10/core/Layout.h.
    pub(super) fn sparse_layout(&self, item: Item) -> Result<SparseLayout> {
        let name = match self.graph.view(item) {
            View::Call(call) => {
                let name = self.graph.args(call).first();
                name.and_then(|&name| self.graph.text(name))
                    .map(|name| name.into_owned())
            }
            View::Global(global) => Some(global.to_string()),
            View::Int(number) => Some(number.to_string()),
            _ => None,
        };
        let name = name.unwrap_or_default();
        Ok(match name.trim_start_matches("torch.") {
            "sparse_coo" | "1" => SparseLayout::Coo,
            "sparse_csr" | "2" => SparseLayout::Csr,
            "sparse_csc" | "4" => SparseLayout::Csc,
            "sparse_bsr" | "5" => SparseLayout::Bsr,
            "sparse_bsc" | "6" => SparseLayout::Bsc,
            _ => {
                let message = format!("sparse layout `{name}` is not known");
                return Err(Error::unsupported(message));
            }
        })
    }

    /// Several tensors in one buffer. Their sizes, strides and offsets are tensors themselves,
    /// which are read here: they are part of the description.
    pub(super) fn nested(
        &self,
        buffer: Item,
        sizes: Item,
        strides: Item,
        offsets: Item,
    ) -> Result<Meaning> {
        let wrong = || Error::malformed("a nested tensor lacks its parts");
        let buffer = self.built(buffer)?.ok_or_else(wrong)?;
        let (storage, base) = match buffer.payload {
            Payload::Stored(storage) => (storage, 0),
            Payload::Strided { storage, first, .. } => (storage, first),
            _ => return Err(Error::unsupported("a nested tensor without a plain buffer")),
        };
        let sizes = self.small_matrix(sizes)?;
        let strides = self.small_matrix(strides)?;
        let offsets = self.small_matrix(offsets)?;
        let offsets: Vec<u64> = offsets.into_iter().flatten().collect();
        if sizes.len() != strides.len() || sizes.len() != offsets.len() {
            return Err(Error::malformed(
                "the parts of a nested tensor do not match",
            ));
        }
        let mut all = Vec::new();
        for ((size, strides), offset) in sizes.into_iter().zip(strides).zip(offsets) {
            let storage = StorageRef {
                bytes: Some(storage.bytes.clone()),
                order: storage.order,
                dtype: Some(buffer.dtype),
            };
            let first = offset.checked_add(base).ok_or_else(wrong)?;
            let shape = Shape::new(size)?;
            if shape.rank() != strides.len() {
                return Err(Error::malformed(
                    "the parts of a nested tensor do not match",
                ));
            }
            all.push(view_of(storage, first, shape, strides, None)?);
        }
        Ok(Meaning::Tensors(all))
    }

    /// The rows of a small I64 tensor: none of them negative.
    pub(super) fn small_matrix(&self, item: Item) -> Result<Vec<Vec<u64>>> {
        let wrong = |what: &str| Error::malformed(format!("the sizes of a nested tensor {what}"));
        let built = self.built(item)?.ok_or_else(|| wrong("are no tensor"))?;
        if built.dtype != DType::I64 || built.shape.elements() > crate::limits::TENSORS {
            return Err(wrong("are no small I64 tensor"));
        }
        let width = usize::try_from(built.shape.row_elements()).unwrap_or(usize::MAX);
        let tensor = built.named("sizes");
        let bytes = Reader::open(&tensor)?.read_all()?;
        let (words, _) = bytes.as_chunks::<8>();
        let values: Option<Vec<u64>> = words
            .iter()
            .map(|word| u64::try_from(i64::from_le_bytes(*word)).ok())
            .collect();
        let values = values.ok_or_else(|| wrong("are negative"))?;
        Ok(values.chunks(width.max(1)).map(<[u64]>::to_vec).collect())
    }
}
