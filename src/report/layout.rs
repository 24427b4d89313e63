//! Where the boxes and lines of a layered drawing stand: columns from what needs nothing to what nobody needs.
//!
//! The steps are Sugiyama's: layers by the longest path; points where a line crosses a layer; an order within each layer
//! that has few crossings, by the mean place of the neighbours, swept to and fro; places that pull each box to its
//! neighbours without touching the next one. Everything is iterative and, but for sorting, linear in each sweep.

/// A drawing's measures, in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measures {
    /// Between two columns.
    pub(super) column_gap: f64,
    /// Between two boxes of a column.
    pub(super) row_gap: f64,
    /// Of every box.
    pub(super) height: f64,
}

/// A box: its top left corner and its width.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Placed {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
}

/// A line from a box to one that needs it: the points that it passes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) points: Vec<(f64, f64)>,
}

/// A whole drawing.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Drawing {
    pub(super) boxes: Vec<Placed>,
    pub(super) lines: Vec<Line>,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// How often the order is improved. The best one counts.
const ORDER_SWEEPS: usize = 12;
/// How often the places are.
const PLACE_SWEEPS: usize = 24;
/// Drawings with more points have their order swept fewer times: nobody looks at every crossing.
const LARGE: usize = 20_000;

/// Lays out boxes of these widths; `needs[i]` are the boxes that `i` depends on, each before `i`.
pub(super) fn layout(widths: &[f64], needs: &[Vec<usize>], measures: Measures) -> Drawing {
    let layers = layers(needs);
    let mut net = Net::new(needs, &layers);
    net.order();
    let y = net.places(measures);
    let count = layers.iter().max().map_or(0, |last| last + 1);
    let mut columns = vec![0.0_f64; count];
    for (layer, width) in layers.iter().zip(widths) {
        columns[*layer] = columns[*layer].max(*width);
    }
    let mut x = Vec::with_capacity(count);
    let mut at = 0.0;
    for width in &columns {
        x.push(at);
        at += width + measures.column_gap;
    }
    let middle = measures.height / 2.0;
    let boxes: Vec<Placed> = layers
        .iter()
        .zip(&y)
        .map(|(layer, y)| Placed {
            x: x[*layer],
            y: y - middle,
            width: columns[*layer],
        })
        .collect();
    let lines = net.lines.iter().map(|chain| {
        let (from, to) = (chain[0], chain[chain.len() - 1]);
        let mut points = vec![(boxes[from].x + boxes[from].width, y[from])];
        for point in &chain[1..chain.len() - 1] {
            let layer = net.layer[*point];
            points.push((x[layer], y[*point]));
            points.push((x[layer] + columns[layer], y[*point]));
        }
        points.push((boxes[to].x, y[to]));
        Line { from, to, points }
    });
    Drawing {
        lines: lines.collect(),
        width: (at - measures.column_gap).max(0.0),
        height: y.iter().fold(0.0_f64, |most, y| most.max(y + middle)),
        boxes,
    }
}

/// The longest path to each box; what needs nothing stands right before the first one that needs it.
fn layers(needs: &[Vec<usize>]) -> Vec<usize> {
    let mut layers = vec![0; needs.len()];
    for (i, needs) in needs.iter().enumerate() {
        layers[i] = needs
            .iter()
            .map(|need| layers[*need] + 1)
            .max()
            .unwrap_or(0);
    }
    let mut first = vec![usize::MAX; needs.len()];
    for (i, needs) in needs.iter().enumerate() {
        for need in needs {
            first[*need] = first[*need].min(layers[i]);
        }
    }
    for (i, needs) in needs.iter().enumerate() {
        if needs.is_empty() && first[i] != usize::MAX {
            layers[i] = first[i] - 1;
        }
    }
    layers
}

/// Boxes, and the points where lines cross layers.
struct Net {
    boxes: usize,
    layer: Vec<usize>,
    /// Neighbours in the layer before and in the one after.
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
    /// The nodes of each layer, in order.
    rows: Vec<Vec<usize>>,
    /// The nodes that each line passes.
    lines: Vec<Vec<usize>>,
}

impl Net {
    fn new(needs: &[Vec<usize>], layers: &[usize]) -> Self {
        let boxes = needs.len();
        let mut net = Self {
            boxes,
            layer: layers.to_vec(),
            before: vec![Vec::new(); boxes],
            after: vec![Vec::new(); boxes],
            rows: vec![Vec::new(); layers.iter().max().map_or(0, |last| last + 1)],
            lines: Vec::new(),
        };
        for (to, needs) in needs.iter().enumerate() {
            for from in needs {
                let mut chain = vec![*from];
                for layer in layers[*from] + 1..layers[to] {
                    chain.push(net.layer.len());
                    net.layer.push(layer);
                    net.before.push(Vec::new());
                    net.after.push(Vec::new());
                }
                chain.push(to);
                for pair in chain.windows(2) {
                    net.after[pair[0]].push(pair[1]);
                    net.before[pair[1]].push(pair[0]);
                }
                net.lines.push(chain);
            }
        }
        net.first_order();
        net
    }

    /// Depth first from the last layer: what belongs together stands together.
    fn first_order(&mut self) {
        let mut seen = vec![false; self.layer.len()];
        let ends = (0..self.layer.len()).filter(|node| self.after[*node].is_empty());
        let mut todo: Vec<usize> = ends.collect();
        todo.reverse();
        while let Some(node) = todo.pop() {
            if std::mem::replace(&mut seen[node], true) {
                continue;
            }
            self.rows[self.layer[node]].push(node);
            todo.extend(self.before[node].iter().rev());
        }
    }

    fn order(&mut self) {
        let sweeps = if self.layer.len() > LARGE {
            2
        } else {
            ORDER_SWEEPS
        };
        let mut best = (self.crossings(), self.rows.clone());
        let mut place = vec![0.0; self.layer.len()];
        self.number(&mut place);
        for sweep in 0..sweeps {
            if best.0 == 0 {
                break;
            }
            let count = self.rows.len();
            for step in 0..count {
                let (row, side) = match sweep % 2 {
                    0 => (step, &self.before),
                    _ => (count - 1 - step, &self.after),
                };
                for node in &self.rows[row] {
                    let near = &side[*node];
                    if !near.is_empty() {
                        place[*node] =
                            near.iter().map(|n| place[*n]).sum::<f64>() / size(near.len());
                    }
                }
                self.rows[row].sort_by(|a, b| place[*a].total_cmp(&place[*b]));
                for (at, node) in self.rows[row].iter().enumerate() {
                    place[*node] = size(at);
                }
            }
            let crossings = self.crossings();
            if crossings < best.0 {
                best = (crossings, self.rows.clone());
            }
        }
        self.rows = best.1;
    }

    fn number(&self, place: &mut [f64]) {
        for row in &self.rows {
            for (at, node) in row.iter().enumerate() {
                place[*node] = size(at);
            }
        }
    }

    /// How many pairs of lines cross.
    fn crossings(&self) -> usize {
        let mut place = vec![0_usize; self.layer.len()];
        for row in &self.rows {
            for (at, node) in row.iter().enumerate() {
                place[*node] = at;
            }
        }
        let mut crossings = 0;
        for row in &self.rows {
            // ends of lines in the next layer, in the order of their beginnings: each inversion is a crossing
            let mut ends = Vec::new();
            for node in row {
                let mut own: Vec<usize> = self.after[*node].iter().map(|n| place[*n]).collect();
                own.sort_unstable();
                ends.extend(own);
            }
            crossings += inversions(&ends);
        }
        crossings
    }

    /// The middle of each node on the axis across the layers.
    fn places(&self, measures: Measures) -> Vec<f64> {
        let extent = |node: usize| match node < self.boxes {
            true => measures.height + measures.row_gap,
            false => measures.row_gap,
        };
        let mut y = vec![0.0; self.layer.len()];
        for row in &self.rows {
            let mut at = 0.0;
            for node in row {
                y[*node] = at + extent(*node) / 2.0;
                at += extent(*node);
            }
        }
        for sweep in 0..PLACE_SWEEPS {
            let count = self.rows.len();
            for step in 0..count {
                let index = if sweep % 2 == 0 {
                    step
                } else {
                    count - 1 - step
                };
                let row = &self.rows[index];
                let mut wanted = Vec::with_capacity(row.len());
                for node in row {
                    wanted.push(self.wanted(*node, &y));
                }
                let gaps: Vec<f64> = row
                    .windows(2)
                    .map(|pair| (extent(pair[0]) + extent(pair[1])) / 2.0)
                    .collect();
                for (node, place) in row.iter().zip(apart(&wanted, &gaps)) {
                    y[*node] = place;
                }
            }
        }
        let half = measures.height / 2.0;
        let top = y
            .iter()
            .take(self.boxes)
            .fold(f64::INFINITY, |top, y| top.min(*y - half));
        let top = y.iter().skip(self.boxes).fold(top, |top, y| top.min(*y));
        y.iter().map(|y| y - top).collect()
    }

    /// Where a node would stand best, and how much that counts: long lines are straight before all else.
    fn wanted(&self, node: usize, y: &[f64]) -> (f64, f64) {
        let (mut sum, mut weight) = (0.0, 0.0);
        for other in self.before[node].iter().chain(&self.after[node]) {
            let points = usize::from(node >= self.boxes) + usize::from(*other >= self.boxes);
            let counts = [1.0, 2.0, 8.0][points];
            sum += counts * y[*other];
            weight += counts;
        }
        if weight > 0.0 {
            (sum / weight, weight)
        } else {
            (y[node], 0.1)
        }
    }
}

/// How many pairs stand in the wrong order: by merging.
fn inversions(values: &[usize]) -> usize {
    let mut values = values.to_vec();
    let mut merged = vec![0; values.len()];
    let (mut count, mut width) = (0, 1);
    while width < values.len() {
        for start in (0..values.len()).step_by(2 * width) {
            let middle = (start + width).min(values.len());
            let end = (start + 2 * width).min(values.len());
            let (mut left, mut right) = (start, middle);
            for slot in &mut merged[start..end] {
                if left < middle && (right == end || values[left] <= values[right]) {
                    *slot = values[left];
                    left += 1;
                } else {
                    *slot = values[right];
                    right += 1;
                    count += middle - left;
                }
            }
        }
        std::mem::swap(&mut values, &mut merged);
        width *= 2;
    }
    count
}

/// The places nearest to the wanted ones (each with its weight) that keep the order and these gaps: runs of neighbours
/// that would overlap move together, to their weighted mean.
fn apart(wanted: &[(f64, f64)], gaps: &[f64]) -> Vec<f64> {
    struct Run {
        mean: f64,
        weight: f64,
        count: usize,
    }
    let mut offset = 0.0;
    let mut offsets = Vec::with_capacity(wanted.len());
    let mut runs: Vec<Run> = Vec::new();
    for (i, (place, weight)) in wanted.iter().enumerate() {
        offset += if i == 0 { 0.0 } else { gaps[i - 1] };
        offsets.push(offset);
        let mut run = Run {
            mean: place - offset,
            weight: *weight,
            count: 1,
        };
        while let Some(last) = runs.pop_if(|last| last.mean >= run.mean) {
            let weight = last.weight + run.weight;
            run.mean = (last.mean * last.weight + run.mean * run.weight) / weight;
            run.weight = weight;
            run.count += last.count;
        }
        runs.push(run);
    }
    let means = runs
        .iter()
        .flat_map(|run| std::iter::repeat_n(run.mean, run.count));
    means
        .zip(offsets)
        .map(|(mean, offset)| mean + offset)
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "places of pixels")]
const fn size(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEASURES: Measures = Measures {
        column_gap: 40.0,
        row_gap: 10.0,
        height: 30.0,
    };

    #[test]
    fn a_diamond_with_a_long_line() {
        // 0 → 1, 2 → 3, and 0 → 3
        let needs = [vec![], vec![0], vec![0], vec![1, 2, 0]];
        let drawing = layout(&[100.0, 80.0, 60.0, 50.0], &needs, MEASURES);
        let x: Vec<f64> = drawing.boxes.iter().map(|placed| placed.x).collect();
        assert_eq!(x, [0.0, 140.0, 140.0, 260.0]);
        let long = drawing
            .lines
            .iter()
            .find(|line| (line.from, line.to) == (0, 3));
        assert_eq!(
            long.unwrap().points.len(),
            4,
            "it passes the column between"
        );
        assert!(
            drawing.width > 300.0 && drawing.height >= 80.0,
            "{drawing:?}"
        );
    }

    #[test]
    fn what_needs_nothing_stands_by_what_needs_it() {
        let needs = [vec![], vec![0], vec![1], vec![], vec![2, 3]];
        assert_eq!(layers(&needs), [0, 1, 2, 2, 3]);
    }

    #[test]
    fn inversions_are_counted() {
        assert_eq!(inversions(&[]), 0);
        assert_eq!(inversions(&[1, 2, 2, 3]), 0);
        assert_eq!(inversions(&[3, 2, 1]), 3);
        assert_eq!(inversions(&[2, 0, 3, 1]), 3);
    }

    #[test]
    fn two_chains_that_would_cross_do_not() {
        let needs = [vec![], vec![], vec![1], vec![0], vec![3], vec![2]];
        let mut net = Net::new(&needs, &layers(&needs));
        net.order();
        assert_eq!(net.crossings(), 0);
    }

    #[test]
    fn a_long_chain_needs_no_stack() {
        let count = 100_000;
        let needs: Vec<Vec<usize>> = (0..count)
            .map(|i: usize| i.checked_sub(1).into_iter().collect())
            .collect();
        let drawing = layout(&vec![50.0; count], &needs, MEASURES);
        assert!(
            drawing.boxes.iter().all(|placed| placed.y.abs() < 1.0),
            "it is straight"
        );
    }

    proptest::proptest! {
        #[test]
        fn boxes_never_touch_and_lines_go_forward(
            edges in proptest::collection::vec(proptest::collection::vec(0usize..1000, 0..4), 1..40),
        ) {
            let needs: Vec<Vec<usize>> = edges.iter().enumerate().map(|(i, list)| {
                let mut list: Vec<usize> = if i == 0 { vec![] } else { list.iter().map(|n| n % i).collect() };
                list.sort_unstable();
                list.dedup();
                list
            }).collect();
            let drawing = layout(&vec![50.0; needs.len()], &needs, MEASURES);
            for (i, a) in drawing.boxes.iter().enumerate() {
                proptest::prop_assert!(a.y > -0.01 && a.y + 30.0 < drawing.height + 0.01);
                for b in &drawing.boxes[..i] {
                    let beside = (a.x - b.x).abs() > 49.0;
                    let apart = (a.y - b.y).abs() > 39.9;
                    proptest::prop_assert!(beside || apart, "{a:?} {b:?}");
                }
            }
            for line in &drawing.lines {
                for pair in line.points.windows(2) {
                    proptest::prop_assert!(pair[0].0 < pair[1].0);
                }
            }
            proptest::prop_assert_eq!(drawing.lines.len(), needs.iter().map(Vec::len).sum::<usize>());
        }
    }
}
