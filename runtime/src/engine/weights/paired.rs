//! Gate and up as one product, whose workgroups have the same rows of both.

use symbiote_shaders::PartArgs;

use super::{Form, Operation, Product};
use crate::engine::kernels::Kernels;

impl Operation {
    /// Its products of one token take on what lies beside them.
    pub fn fuses(&self, kernels: &Kernels) -> bool {
        self.products.iter().all(|product| kernels.fuses(product.form))
    }

    /// The product whose first `width` rows are W and the others V, as one that goes through both side by side; none where their
    /// parts differ, or are of several forms.
    pub(super) fn gated(&self, width: u32) -> Option<Self> {
        let [product] = &self.products[..] else { return None };
        let (w, v) = product.parts.split_at(product.parts.len() / 2);
        let alike =
            |(w, v): (&PartArgs, &PartArgs)| (w.pack, w.rows, w.first_row + width) == (v.pack, v.rows, v.first_row);
        if w.len() != v.len() || self.rows != 2 * width || !w.iter().zip(v).all(alike) {
            return None;
        }
        let of_each = product.form.pair_rows(product.tile_rows)?;
        let mut product = Product { paired: true, tiles: 0, ..product.clone() };
        for part in &mut product.parts[..w.len()] {
            part.first_tile = product.tiles;
            product.tiles += part.rows.div_ceil(of_each);
        }
        Some(Self { rows: width, products: vec![product], packs: self.packs.clone(), scales: Vec::new() })
    }
}

impl Form {
    /// Rows of W, and of V, of a tile of both that has so many.
    fn pair_rows(self, tile_rows: u32) -> Option<u32> {
        match self {
            Self::Packed { .. } => Some(tile_rows), // these are as they are stored
            Self::Plain(_) | Self::Narrowed(_) | Self::Scaled { .. } => {
                tile_rows.is_multiple_of(2).then_some(tile_rows / 2)
            }
        }
    }
}
