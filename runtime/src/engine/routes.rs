//! Where tokens went in a mixture of experts.

/// The experts of one layer that the tokens of a pass went through.
#[derive(Clone, Copy, Debug)]
pub struct Routes<'a> {
    /// Position of the first token.
    pub position: u32,
    /// The tokens.
    pub tokens: &'a [u32],
    /// The layer, of all layers.
    pub layer: u32,
    /// Experts a token.
    pub used: u32,
    /// `[tokens][used]`, a token's as they were chosen, the best first.
    pub chosen: &'a [u32],
    /// `[tokens][used]`.
    pub weights: &'a [f32],
}

/// Hears of every layer of experts of every pass, in order.
pub type RouteListener = Box<dyn FnMut(&Routes<'_>) + Send>;

/// Says where one token goes instead, in order of layers: `(layer, experts a token)`; none leaves the router's choice. For
/// measurements of paging on weights that were never trained: the experts' weights stay the router's.
pub type RouteReplay = Box<dyn FnMut(u32, u32) -> Option<Vec<u32>> + Send>;
