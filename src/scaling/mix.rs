//! Which pools grow and which shrink: the cheapest mix for a capacity.
//!
//! Growing buys the cheapest capacity first; shrinking gives the dearest back
//! first. The last few nodes are chosen by what they cost together, so that a
//! small rest does not buy a large node. Exact for one pool; with several, a
//! test holds the price against the least possible.

use super::view::View;

/// A pool that may take or give nodes.
#[derive(Debug, Clone, Copy)]
struct Offer {
    /// Which.
    pool: usize,
    /// Jobs per second of a node.
    speed: f64,
    /// Of a node.
    price: f64,
    /// Nodes on offer.
    nodes: u32,
}

/// So far from a whole node is a whole node: sums of speeds are not exact.
const SLACK: f64 = 1e-9;

/// Nodes of each pool so that the capacity reaches `need`, from those in
/// `nodes`, at most `step` more; or all there is room for.
pub fn grow(view: &View, nodes: &mut [u32], need: f64, step: Option<u32>) {
    let mut missing = need - view.capacity_of(nodes.iter().copied());
    let mut step = step.unwrap_or(u32::MAX);
    let mut offers = offers(view, |index| view.pools[index].room.saturating_sub(nodes[index]));
    while missing > SLACK * need && step > 0 {
        let Some(bought) = cheapest(&offers, missing) else { return };
        let taken = bought.nodes.min(step);
        nodes[bought.pool] += taken;
        step -= taken;
        missing -= f64::from(taken) * bought.speed;
        for offer in offers.iter_mut().filter(|offer| offer.pool == bought.pool) {
            offer.nodes -= taken;
        }
        offers.retain(|offer| offer.nodes > 0);
    }
}

/// Nodes of each pool so that the capacity does not fall below `keep`, from
/// those in `nodes`, at most `step` fewer and at least `floor`.
pub fn shrink(view: &View, nodes: &mut [u32], floor: &[u32], keep: f64, step: Option<u32>) {
    let mut spare = view.capacity_of(nodes.iter().copied()) - keep;
    let mut step = step.unwrap_or(u32::MAX);
    for offer in offers(view, |index| nodes[index].saturating_sub(floor[index])).iter().rev() {
        let gone = whole(spare / offer.speed + SLACK).min(offer.nodes).min(step);
        nodes[offer.pool] -= gone;
        step -= gone;
        spare -= f64::from(gone) * offer.speed;
    }
}

/// What pools offer, the cheapest capacity first; of equals the first listed.
fn offers(view: &View, nodes: impl Fn(usize) -> u32) -> Vec<Offer> {
    let mut offers: Vec<Offer> = view
        .pools
        .iter()
        .enumerate()
        .map(|(pool, v)| Offer { pool, speed: v.speed, price: v.settings.price, nodes: nodes(pool) })
        .filter(|offer| offer.nodes > 0)
        .collect();
    offers.sort_by(|a, b| (a.price / a.speed).total_cmp(&(b.price / b.speed)));
    offers
}

/// What to buy next towards `missing`: all that is needed of one pool where
/// that is cheapest, otherwise as many of the cheapest capacity as fit whole.
fn cheapest(offers: &[Offer], missing: f64) -> Option<Offer> {
    let first = offers.first()?;
    let fit = whole(missing / first.speed + SLACK);
    if fit >= first.nodes {
        return Some(*first);
    }
    let rest = missing - f64::from(fit) * first.speed;
    let cost = |offer: &Offer, missing: f64| f64::from(enough(missing, offer.speed)) * offer.price;
    let finishes = |missing: f64| {
        let able = move |offer: &&Offer| enough(missing, offer.speed) <= offer.nodes;
        offers.iter().filter(able).min_by(|a, b| cost(a, missing).total_cmp(&cost(b, missing)))
    };
    if fit > 0 {
        let split = finishes(rest).map_or(0.0, |last| f64::from(fit) * first.price + cost(last, rest));
        let alone = finishes(missing).filter(|last| cost(last, missing) < split);
        return Some(alone.map_or(Offer { nodes: fit, ..*first }, |last| last.taking(missing)));
    }
    Some(finishes(rest).map_or(*first, |last| last.taking(rest)))
}

impl Offer {
    /// As many of these as `missing` takes.
    fn taking(&self, missing: f64) -> Self {
        Self { nodes: enough(missing, self.speed).min(self.nodes), ..*self }
    }
}

/// Nodes that reach `missing`.
fn enough(missing: f64, speed: f64) -> u32 {
    whole((missing / speed - SLACK).ceil().max(1.0))
}

/// Whole nodes in a number of nodes.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounds down and saturates as meant")]
fn whole(nodes: f64) -> u32 {
    nodes as u32
}
