use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;

fn marks(values: &[i64]) -> Vec<bool> {
    values.iter().map(|v| is_small(*v)).collect()
}

fn beside_total(values: &[i64]) -> Vec<bool> {
    line(values, &marks(values), is_small(values.iter().sum()))
}

#[test]
fn a_small_count_takes_the_next_smallest_with_it() {
    assert_eq!(beside_total(&[3, 40, 9]), [true, false, true]);
    assert_eq!(beside_total(&[30, 40, 9]), [false, false, false]);
    assert_eq!(beside_total(&[0, 40, 9]), [false, false, false], "nought points at nobody");
}

#[test]
fn what_is_withheld_tells_of_at_least_five_together() {
    assert_eq!(beside_total(&[1, 1, 40, 9]), [true, true, false, true]);
    assert_eq!(beside_total(&[2, 3, 40]), [true, true, false]);
}

#[test]
fn a_small_total_is_withheld_with_all_its_parts() {
    assert_eq!(beside_total(&[1, 2, 0]), [true, true, false]);
}

#[test]
fn a_nought_is_withheld_only_if_nothing_else_can_be() {
    // The second row's 10 stands alone in its column, so only the nought beside it makes a way round.
    let values = vec![vec![3, 10], vec![7, 0]];
    let table = Cross { values: &values, rows_withheld: &[false; 2], columns_withheld: &[false; 2], total_withheld: false };
    assert_eq!(table.protect(), [[true, true], [true, true]]);
}

#[test]
fn between_two_answers_of_different_days_lie_at_least_five_people() {
    let alike = |counts: &[i64]| steps(counts, &vec![true; counts.len() + 1]);
    assert_eq!(alike(&[2, 2, 2, 10]), [false, true, true, false, false]);
    assert_eq!(alike(&[1, 1]), [true, true, false]);
    assert_eq!(alike(&[]), [false]);
    assert_eq!(steps(&[5, 3, 9], &[true, false, true, false]), [false, true, false, false], "the first ones have their way");
    let mut random = StdRng::seed_from_u64(11);
    for _ in 0..500 {
        let counts: Vec<i64> = (0..12).map(|_| random.gen_range(0..8)).collect();
        let first: Vec<bool> = (0..13).map(|_| random.gen_bool(0.3)).collect();
        let left: Vec<i64> = (0..=counts.len()).map(|n| counts[n..].iter().sum()).collect();
        let shown: Vec<i64> = left.iter().zip(steps(&counts, &first)).filter(|(_, w)| !w).map(|(v, _)| *v).collect();
        assert!(shown.iter().all(|v| !is_small(*v)));
        for (n, more) in shown.iter().enumerate() {
            assert!(shown[n + 1..].iter().all(|less| !is_small(more - less)), "{counts:?} {shown:?}");
        }
    }
}

/// Somebody who has the whole table but for what is withheld, and tries every table of counts that fits.
struct Attack<'a> {
    values: &'a [Vec<i64>],
    withheld: &'a [Vec<bool>],
    rows: Vec<bool>,
    columns: Vec<bool>,
    total: bool,
    most: i64,
    guess: Vec<Vec<i64>>,
    /// What each cell, row and column could be.
    cells: Vec<Vec<[bool; 64]>>,
    row_sums: Vec<Vec<i64>>,
    column_sums: Vec<Vec<i64>>,
    fits: u64,
}

impl Attack<'_> {
    fn sum(&self, column: usize) -> i64 {
        self.values.iter().map(|row| row[column]).sum()
    }

    fn try_all(&mut self, at: usize) {
        let (rows, columns) = (self.values.len(), self.values[0].len());
        if at == rows * columns {
            let whole: i64 = self.guess.iter().flatten().sum();
            let fits = (0..columns).all(|j| self.columns[j] || self.guess.iter().map(|r| r[j]).sum::<i64>() == self.sum(j))
                && (self.total || whole == self.values.iter().flatten().sum::<i64>());
            if fits {
                self.fits += 1;
                for i in 0..rows {
                    self.row_sums[i].push(self.guess[i].iter().sum());
                    for j in 0..columns {
                        self.cells[i][j][self.guess[i][j] as usize] = true;
                    }
                }
                for j in 0..columns {
                    self.column_sums[j].push(self.guess.iter().map(|r| r[j]).sum());
                }
            }
            return;
        }
        let (i, j) = (at / columns, at % columns);
        let known: i64 = self.values[i].iter().sum();
        let before: i64 = self.guess[i][..j].iter().sum();
        let last = j + 1 == columns;
        let choices = if self.withheld[i][j] { 0..=self.most } else { self.values[i][j]..=self.values[i][j] };
        for value in choices {
            let fits = self.rows[i] || if last { before + value == known } else { before + value <= known };
            let above: i64 = self.guess[..i].iter().map(|r| r[j]).sum();
            if fits && (self.columns[j] || above + value <= self.sum(j)) {
                self.guess[i][j] = value;
                self.try_all(at + 1);
            }
        }
    }
}

#[test]
fn no_withheld_figure_of_a_table_can_be_worked_out() {
    let mut random = StdRng::seed_from_u64(7);
    let mut withheld_cells = 0;
    for round in 0..600 {
        let (rows, columns) = [(2, 2), (2, 3), (3, 2), (3, 3), (1, 3), (2, 4)][round % 6];
        let scarce = round % 2 == 0;
        let one = |random: &mut StdRng| if scarce && random.gen_bool(0.4) { 0 } else { random.gen_range(0..9) };
        let values: Vec<Vec<i64>> = (0..rows).map(|_| (0..columns).map(|_| one(&mut random)).collect()).collect();
        let total: i64 = values.iter().flatten().sum();
        if is_small(total) || total == 0 {
            continue;
        }
        let row_sums: Vec<i64> = values.iter().map(|row| row.iter().sum()).collect();
        let column_sums: Vec<i64> = (0..columns).map(|j| values.iter().map(|row| row[j]).sum()).collect();
        let rows_withheld = line(&row_sums, &marks(&row_sums), false);
        let columns_withheld = line(&column_sums, &marks(&column_sums), false);
        let table =
            Cross { values: &values, rows_withheld: &rows_withheld, columns_withheld: &columns_withheld, total_withheld: false };
        let withheld = table.protect();
        let unknown = withheld.iter().flatten().filter(|w| **w).count();
        let open = rows_withheld.iter().chain(&columns_withheld).any(|w| *w);
        if unknown > if open { 6 } else { 9 } {
            // Too many tables to try.
            continue;
        }
        let mut attack = Attack {
            values: &values,
            withheld: &withheld,
            rows: rows_withheld.clone(),
            columns: columns_withheld.clone(),
            total: false,
            most: 20.min(total),
            guess: vec![vec![0; columns]; rows],
            cells: vec![vec![[false; 64]; columns]; rows],
            row_sums: vec![Vec::new(); rows],
            column_sums: vec![Vec::new(); columns],
            fits: 0,
        };
        attack.try_all(0);
        assert!(attack.fits > 0);
        let several = |sums: &[i64]| sums.iter().any(|s| *s != sums[0]);
        for i in 0..rows {
            assert!(!rows_withheld[i] || several(&attack.row_sums[i]), "{values:?} {withheld:?} row {i}");
            for j in 0..columns {
                if is_small(values[i][j]) {
                    withheld_cells += 1;
                    assert!(withheld[i][j]);
                    let could_be = attack.cells[i][j].iter().filter(|c| **c).count();
                    assert!(could_be > 1, "{values:?} {withheld:?} cell {i} {j}");
                }
            }
        }
        for (sums, hidden) in attack.column_sums.iter().zip(&columns_withheld) {
            assert!(!hidden || several(sums), "{values:?} {withheld:?} columns");
        }
    }
    assert!(withheld_cells > 200, "{withheld_cells}");
}
