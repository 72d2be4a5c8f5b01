//! An indicator as a table: read off the cells, and where the caller is let in at aggregate only, without what
//! could point at somebody.

use std::collections::BTreeMap;

use tahuka_chassis::{Refusal, Tx};

use super::store::{Filter, Sums, sums};
use super::{Dimension, Indicator, Measure, percent};
use crate::disclosure::{Cross, is_small, line};
use crate::view::View;

/// A question about one indicator.
#[derive(Debug)]
pub struct Question {
    pub indicator: &'static Indicator,
    pub group_by: Vec<Dimension>,
    pub from_month: Option<String>,
    pub to_month: Option<String>,
    pub district: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figure {
    pub value: i64,
    pub withheld: bool,
}

impl Figure {
    pub fn shown(self) -> Option<i64> {
        (!self.withheld).then_some(self.value)
    }
}

/// By keys, and by currency where it is money.
pub type Table = BTreeMap<(Vec<String>, String), Figure>;

pub struct Answer {
    pub cells: Table,
    pub totals: Table,
}

type Counts = BTreeMap<Vec<String>, i64>;
type Marked = BTreeMap<Vec<String>, Figure>;

/// What is counted; a share is made of two.
#[derive(Debug, Clone, Copy)]
enum Series {
    Of(&'static Indicator),
    Cells(&'static str),
    /// What is in `of` and not in `part`.
    Rest {
        part: &'static str,
        of: &'static str,
    },
}

/// The tables of one programme as one caller may see them.
pub struct Tables<'a> {
    pub tx: &'a Tx,
    pub view: &'a View,
}

impl Tables<'_> {
    pub async fn answer(&self, question: &Question) -> Result<Answer, Refusal> {
        if question.indicator.counts_people && self.view.withholds() {
            return self.guarded(question).await;
        }
        Ok(Answer { cells: self.plain(question, &question.group_by).await?, totals: self.plain(question, &[]).await? })
    }

    async fn plain(&self, question: &Question, by: &[Dimension]) -> Result<Table, Refusal> {
        let filter = Filter {
            from_month: question.from_month.as_deref(),
            to_month: question.to_month.as_deref(),
            district: question.district.as_deref(),
            grants: self.view.grants.as_ref().filter(|_| question.indicator.of_grants),
        };
        if let Measure::Share { part, of } = question.indicator.measure {
            let part = self.sums(part, by, &filter).await?;
            let of = self.sums(of, by, &filter).await?;
            let share = |(key, of): (_, i64)| {
                let value = percent(part.get(&key).copied().unwrap_or_default(), of)?;
                Some((key, Figure { value, withheld: false }))
            };
            return Ok(of.into_iter().filter_map(share).collect());
        }
        let sums = self.sums(code(question.indicator, by), by, &filter).await?;
        Ok(sums.into_iter().map(|(key, value)| (key, Figure { value, withheld: false })).collect())
    }

    /// The same, with small counts withheld. A filter shows one line of a larger table, so that table's marks hold: what a
    /// range of months or a district shows can be worked out from the months and districts that are shown.
    async fn guarded(&self, question: &Question) -> Result<Answer, Refusal> {
        let months = self.range(question).await?;
        let mut filters = Vec::new();
        filters.extend(question.district.as_ref().map(|_| Dimension::District));
        filters.extend(months.as_ref().map(|_| Dimension::Month));
        let slice = Slice { district: question.district.as_deref(), months: months.as_ref() };
        Ok(Answer {
            cells: self.slice(question.indicator, &question.group_by, &filters, &slice).await?,
            totals: self.slice(question.indicator, &[], &filters, &slice).await?,
        })
    }

    /// The months asked for; None where they are all that there are.
    async fn range(&self, question: &Question) -> Result<Option<(String, String)>, Refusal> {
        if question.from_month.is_none() && question.to_month.is_none() {
            return Ok(None);
        }
        let from = question.from_month.clone().unwrap_or_default();
        let to = question.to_month.clone().unwrap_or_else(|| "9999-12".to_owned());
        let code = match question.indicator.measure {
            Measure::Share { of, .. } => of,
            _ => question.indicator.code,
        };
        let all = self.counts(Series::Cells(code), &[Dimension::Month]).await?;
        let whole = all.keys().all(|keys| from <= keys[0] && keys[0] <= to);
        Ok((!whole).then_some((from, to)))
    }

    async fn slice(
        &self,
        indicator: &'static Indicator,
        group_by: &[Dimension],
        filters: &[Dimension],
        slice: &Slice<'_>,
    ) -> Result<Table, Refusal> {
        let mut by: Vec<_> = group_by.iter().chain(filters).copied().collect();
        // One order for all, so that the same table always has the same marks.
        by.sort_unstable();
        by.dedup();
        if by.len() > 2 {
            let rule = "counts of people in aggregate can be crossed by two dimensions, filters by district and month included";
            return Err(Refusal::invalid("group_by", rule));
        }
        let figures = match indicator.measure {
            Measure::Share { part, of } => {
                let part_of = slice.of(&by, group_by, self.marked(Series::Cells(part), &by).await?);
                let rest = slice.of(&by, group_by, self.marked(Series::Rest { part, of }, &by).await?);
                shares(&part_of, &rest)
            }
            _ => slice.of(&by, group_by, self.marked(Series::Of(indicator), &by).await?),
        };
        Ok(figures.into_iter().map(|(keys, figure)| ((keys, String::new()), figure)).collect())
    }

    /// The smaller tables first, then this one beside them.
    async fn marked(&self, series: Series, by: &[Dimension]) -> Result<Marked, Refusal> {
        let total = self.counts(series, &[]).await?.into_values().next().unwrap_or_default();
        let total_withheld = is_small(total);
        let one = async |dimension: Dimension| {
            let counts = self.counts(series, &[dimension]).await?;
            let values: Vec<_> = counts.values().copied().collect();
            let small: Vec<_> = values.iter().map(|v| is_small(*v)).collect();
            let marks = line(&values, &small, total_withheld);
            let figure = |((keys, value), withheld)| (keys, Figure { value, withheld });
            Ok::<Marked, Refusal>(counts.into_iter().zip(marks).map(figure).collect())
        };
        match by {
            [] => Ok(Marked::from([(Vec::new(), Figure { value: total, withheld: total_withheld })])),
            [dimension] => one(*dimension).await,
            [first, second] => {
                let counts = self.counts(series, by).await?;
                Ok(crossed(&counts, &one(*first).await?, &one(*second).await?, total_withheld))
            }
            _ => Err(Refusal::internal("a table of more than two dimensions has no marks")),
        }
    }

    async fn counts(&self, series: Series, by: &[Dimension]) -> Result<Counts, Refusal> {
        let read = async |code: &str| {
            let sums = self.sums(code, by, &Filter::default()).await?;
            Ok::<Counts, Refusal>(sums.into_iter().map(|((keys, _), value)| (keys, value)).collect())
        };
        match series {
            Series::Of(indicator) => read(code(indicator, by)).await,
            Series::Cells(code) => read(code).await,
            Series::Rest { part, of } => {
                let mut rest = read(of).await?;
                for (keys, value) in read(part).await? {
                    *rest.entry(keys).or_default() -= value;
                }
                Ok(rest)
            }
        }
    }

    /// The grants that the caller does not see of are one to it.
    async fn sums(&self, code: &str, by: &[Dimension], filter: &Filter<'_>) -> Result<Sums, Refusal> {
        let sums = sums(self.tx, self.view.programme, code, by, filter).await?;
        let (Some(own), Some(at)) = (&self.view.grants, by.iter().position(|d| *d == Dimension::Grant)) else { return Ok(sums) };
        let mut seen = Sums::new();
        for ((mut keys, currency), value) in sums {
            if !own.contains(&keys[at]) {
                keys[at].clear();
            }
            *seen.entry((keys, currency)).or_default() += value;
        }
        Ok(seen)
    }
}

/// The code of the cells that tell an indicator by these dimensions.
fn code(indicator: &Indicator, by: &[Dimension]) -> &'static str {
    match indicator.measure {
        Measure::PeopleByKind { by_kind } if by.contains(&Dimension::Kind) => by_kind,
        _ => indicator.code,
    }
}

/// A table of two dimensions between its lines. A cell of nought that is withheld too stands in it.
fn crossed(counts: &Counts, first: &Marked, second: &Marked, total_withheld: bool) -> Marked {
    let keys = |line: &Marked, at: usize| {
        let mut marks: BTreeMap<String, bool> = counts.keys().map(|keys| (keys[at].clone(), false)).collect();
        marks.extend(line.iter().map(|(keys, figure)| (keys[0].clone(), figure.withheld)));
        marks.into_iter().unzip::<_, _, Vec<_>, Vec<_>>()
    };
    let (rows, rows_withheld) = keys(first, 0);
    let (columns, columns_withheld) = keys(second, 1);
    let key = |row: &String, column: &String| vec![row.clone(), column.clone()];
    let value = |row, column| counts.get(&key(row, column)).copied().unwrap_or_default();
    let values: Vec<Vec<i64>> = rows.iter().map(|row| columns.iter().map(|column| value(row, column)).collect()).collect();
    let table = Cross { values: &values, rows_withheld: &rows_withheld, columns_withheld: &columns_withheld, total_withheld };
    let mut marked = Marked::new();
    for (i, marks) in table.protect().into_iter().enumerate() {
        for (j, withheld) in marks.into_iter().enumerate() {
            if withheld || values[i][j] != 0 {
                marked.insert(key(&rows[i], &columns[j]), Figure { value: values[i][j], withheld });
            }
        }
    }
    marked
}

/// A share shows only where both the part and the rest of it may show.
fn shares(part: &Marked, rest: &Marked) -> Marked {
    let mut shares = Marked::new();
    for keys in part.keys().chain(rest.keys()) {
        let of = |series: &Marked| series.get(keys).copied().unwrap_or_default();
        let (part, rest) = (of(part), of(rest));
        let withheld = part.withheld || rest.withheld;
        match percent(part.value, part.value + rest.value) {
            Some(value) => shares.insert(keys.clone(), Figure { value, withheld }),
            None if withheld => shares.insert(keys.clone(), Figure { value: 0, withheld }),
            None => None,
        };
    }
    shares
}

/// Which lines of a larger table are asked for.
struct Slice<'a> {
    district: Option<&'a str>,
    /// First and last.
    months: Option<&'a (String, String)>,
}

impl Slice<'_> {
    fn holds(&self, dimension: Dimension, key: &str) -> bool {
        match dimension {
            Dimension::District => self.district.is_none_or(|district| district == key),
            Dimension::Month => self.months.is_none_or(|(from, to)| from.as_str() <= key && key <= to.as_str()),
            _ => true,
        }
    }

    /// The lines of `table` (by `by`) added up by `group_by`. A sum of which a part is withheld is withheld.
    fn of(&self, by: &[Dimension], group_by: &[Dimension], table: Marked) -> Marked {
        let mut slice = Marked::new();
        for (keys, figure) in table {
            if !by.iter().zip(&keys).all(|(dimension, key)| self.holds(*dimension, key)) {
                continue;
            }
            let at = |dimension: &Dimension| by.iter().position(|d| d == dimension).map(|n| keys[n].clone()).unwrap_or_default();
            let sum: &mut Figure = slice.entry(group_by.iter().map(at).collect()).or_default();
            sum.value += figure.value;
            sum.withheld |= figure.withheld;
        }
        slice
    }
}
