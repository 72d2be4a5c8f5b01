//! Which figures a reader in aggregate is not shown: counts of people below 5, and as many further ones as keep these
//! from being worked out from the totals beside them. Values in, marks out; no I/O.
//!
//! Smaller tables are marked first and stay as they are: a total, then the lines beside it, then a table of two
//! dimensions between its lines. So every table is safe beside all smaller ones, and the same question always has
//! the same answer.

#[cfg(test)]
mod tests;

/// The metric of figures that were held back.
pub const SUPPRESSED: &str = "tahuka_suppressed_cells_total";

/// The least count of people that is shown.
pub const LEAST: i64 = 5;

/// A count that could point at somebody.
pub fn is_small(value: i64) -> bool {
    value != 0 && value.abs() < LEAST
}

/// Marks the figures of one line beside their total. `must` says which have to be withheld for their own sake;
/// nothing can be worked out while the total is withheld itself.
pub fn line(values: &[i64], must: &[bool], total_withheld: bool) -> Vec<bool> {
    let mut withheld = must.to_vec();
    if !total_withheld {
        while let Some(next) = missing(values, &withheld) {
            withheld[next] = true;
        }
    }
    withheld
}

/// What must be withheld too, since the total less the figures shown would tell of fewer than 5 people: the smallest
/// figure shown, one of nought only if there is no other.
fn missing(values: &[i64], withheld: &[bool]) -> Option<usize> {
    let hidden = || values.iter().zip(withheld).filter(|(_, w)| **w).map(|(v, _)| v.abs());
    let enough = hidden().count() != 1 && hidden().sum::<i64>() >= LEAST;
    if hidden().next().is_none() || enough {
        return None;
    }
    (0..values.len()).filter(|i| !withheld[*i]).min_by_key(|i| (values[*i] == 0, values[*i].abs()))
}

/// A table of two dimensions, between lines that are marked already.
pub struct Cross<'a> {
    /// Rows of as many values as there are columns.
    pub values: &'a [Vec<i64>],
    pub rows_withheld: &'a [bool],
    pub columns_withheld: &'a [bool],
    pub total_withheld: bool,
}

impl Cross<'_> {
    /// Marks the table's cells.
    pub fn protect(&self) -> Vec<Vec<bool>> {
        let mut withheld: Vec<Vec<bool>> = self.values.iter().map(|row| row.iter().map(|v| is_small(*v)).collect()).collect();
        while self.fill_lines(&mut withheld) | self.open_ways(&mut withheld) {}
        withheld
    }

    /// Each line beside a total that is shown; true if a mark was added.
    fn fill_lines(&self, withheld: &mut [Vec<bool>]) -> bool {
        let mut added = false;
        for (i, _) in self.rows_withheld.iter().enumerate().filter(|(_, hidden)| !**hidden) {
            while let Some(j) = missing(&self.values[i], &withheld[i]) {
                withheld[i][j] = true;
                added = true;
            }
        }
        for (j, _) in self.columns_withheld.iter().enumerate().filter(|(_, hidden)| !**hidden) {
            let values: Vec<_> = self.values.iter().map(|row| row[j]).collect();
            while let Some(i) = missing(&values, &withheld.iter().map(|row| row[j]).collect::<Vec<_>>()) {
                withheld[i][j] = true;
                added = true;
            }
        }
        added
    }

    /// Sees to it that every withheld figure could be another one without anything shown being different: its arc lies
    /// on a circle of the flow (see `Flow`). Where it does not, the smallest cell that leads on is withheld too.
    fn open_ways(&self, withheld: &mut Vec<Vec<bool>>) -> bool {
        let mut added = false;
        for arc in self.sensitive() {
            loop {
                let flow = Flow { table: self, withheld: &*withheld };
                let (from, to) = flow.ends(arc);
                let reached = flow.reached(to, arc);
                if reached[from] {
                    break;
                }
                let Some((i, j)) = flow.way_out(&reached) else { break };
                withheld[i][j] = true;
                added = true;
            }
        }
        added
    }

    fn sensitive(&self) -> Vec<Arc> {
        let small = |(i, row): (usize, &Vec<i64>)| -> Vec<Arc> {
            (0..row.len()).filter(|j| is_small(row[*j])).map(|j| Arc::Cell(i, j)).collect()
        };
        let marked = |marks: &[bool]| (0..marks.len()).filter(|n| marks[*n]).collect::<Vec<_>>();
        let mut arcs: Vec<_> = self.values.iter().enumerate().flat_map(small).collect();
        arcs.extend(marked(self.rows_withheld).into_iter().map(Arc::Row));
        arcs.extend(marked(self.columns_withheld).into_iter().map(Arc::Column));
        arcs
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arc {
    Cell(usize, usize),
    Row(usize),
    Column(usize),
}

/// The table as a flow: from the source into the rows, through the cells into the columns, into the sink and back.
/// What is withheld can carry more, and less where it carries something; all else is fixed. A withheld figure can be
/// another one exactly if its arc lies on a circle.
struct Flow<'a> {
    table: &'a Cross<'a>,
    withheld: &'a [Vec<bool>],
}

const SOURCE: usize = 0;
const SINK: usize = 1;

impl Flow<'_> {
    fn row(&self, i: usize) -> usize {
        2 + i
    }

    fn column(&self, j: usize) -> usize {
        2 + self.table.rows_withheld.len() + j
    }

    fn ends(&self, arc: Arc) -> (usize, usize) {
        match arc {
            Arc::Cell(i, j) => (self.row(i), self.column(j)),
            Arc::Row(i) => (SOURCE, self.row(i)),
            Arc::Column(j) => (self.column(j), SINK),
        }
    }

    /// Every node that a change can be passed on to from `start`, without the arc `but`.
    fn reached(&self, start: usize, but: Arc) -> Vec<bool> {
        let (rows, columns) = (self.table.rows_withheld.len(), self.table.columns_withheld.len());
        let mut reached = vec![false; 2 + rows + columns];
        let mut next = vec![start];
        reached[start] = true;
        while let Some(node) = next.pop() {
            let mut go = |to: usize, open: bool| {
                if open && !reached[to] {
                    reached[to] = true;
                    next.push(to);
                }
            };
            match node {
                SOURCE => {
                    (0..rows).for_each(|i| go(self.row(i), self.table.rows_withheld[i] && but != Arc::Row(i)));
                    go(SINK, self.table.total_withheld && self.table.values.iter().flatten().any(|v| *v != 0));
                }
                SINK => {
                    (0..columns).for_each(|j| {
                        let carries = self.table.values.iter().any(|row| row[j] != 0);
                        go(self.column(j), self.table.columns_withheld[j] && carries && but != Arc::Column(j));
                    });
                    go(SOURCE, self.table.total_withheld);
                }
                _ if node < 2 + rows => {
                    let i = node - 2;
                    (0..columns).for_each(|j| go(self.column(j), self.withheld[i][j] && but != Arc::Cell(i, j)));
                    let carries = self.table.values[i].iter().any(|v| *v != 0);
                    go(SOURCE, self.table.rows_withheld[i] && carries && but != Arc::Row(i));
                }
                _ => {
                    let j = node - 2 - rows;
                    (0..rows).for_each(|i| {
                        let carries = self.table.values[i][j] != 0;
                        go(self.row(i), self.withheld[i][j] && carries && but != Arc::Cell(i, j));
                    });
                    go(SINK, self.table.columns_withheld[j] && but != Arc::Column(j));
                }
            }
        }
        reached
    }

    /// The smallest cell that, once withheld, leads out of what is reached; one of nought only if there is no other.
    fn way_out(&self, reached: &[bool]) -> Option<(usize, usize)> {
        let (rows, columns) = (self.table.rows_withheld.len(), self.table.columns_withheld.len());
        (0..rows)
            .flat_map(|i| (0..columns).map(move |j| (i, j)))
            .filter(|(i, j)| !self.withheld[*i][*j])
            .filter(|(i, j)| match (reached[self.row(*i)], reached[self.column(*j)]) {
                (true, false) => true,
                (false, true) => self.table.values[*i][*j] != 0,
                _ => false,
            })
            .min_by_key(|(i, j)| (self.table.values[*i][*j] == 0, self.table.values[*i][*j].abs()))
    }
}

/// Marks the steps of a count that falls with time, e.g. how many had something on or after a day: `counts` are those
/// who fall away at each step, `first` says which steps are tried first (there is one more than there are counts).
/// Between any two counts that are shown lie none or at least 5 people, so two answers cannot be told against each other.
pub fn steps(counts: &[i64], first: &[bool]) -> Vec<bool> {
    let mut left = vec![counts.iter().sum::<i64>()];
    left.extend(counts.iter().scan(left[0], |rest, count| {
        *rest -= count;
        Some(*rest)
    }));
    let mut withheld = vec![true; left.len()];
    for turn in [true, false] {
        let mut before: Option<i64> = None;
        for step in 0..left.len() {
            if withheld[step] && first[step] == turn {
                let after = (step + 1..left.len()).find(|n| !withheld[*n]).map(|n| left[n]);
                let near = |other: Option<i64>| other.is_some_and(|other| is_small(other - left[step]));
                withheld[step] = is_small(left[step]) || near(before) || near(after);
            }
            before = if withheld[step] { before } else { Some(left[step]) };
        }
    }
    withheld
}
