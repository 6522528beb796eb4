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

/// Says where single tokens go instead of where routers send them, in order of layers. For measurements of paging on weights that
/// were never trained: the weights of experts stay the router's.
pub trait RouteScript: Send {
    /// The experts of a token in a layer, so many of them; none leaves the router's choice.
    fn chosen(&mut self, layer: u32, used: u32) -> Option<Vec<u32>>;

    /// What a later layer's router says when it is run early, at most so many experts, the likeliest first; none leaves what it said.
    fn early(&mut self, layer: u32, ranks: u32) -> Option<Vec<u32>>;
}
