//! What assistance holds of a household, for when the household passes to another custodian.

use tahuka_chassis::custody::{Rows, Selects, Slice, SliceTable, UnitKind};

const OF_HOUSEHOLD: &[Rows] = &[Rows::Of { kind: UnitKind::Household, column: "household_id" }];

pub static SLICE: Slice = Slice {
    selects: Some(Selects { table: "plan", household: "household_id", kind: "kind", unless: "state = 'cancelled'" }),
    after: &["registry"],
    tables: &[
        SliceTable { table: "package", key: &["id"], rows: &[Rows::Referenced { by: &[("plan", "package_id")] }] },
        SliceTable { table: "plan", key: &["id"], rows: OF_HOUSEHOLD },
        SliceTable { table: "cohort", key: &["id"], rows: &[Rows::Container { by: &[("enrolment", "cohort_id")] }] },
        SliceTable { table: "enrolment", key: &["id"], rows: OF_HOUSEHOLD },
        SliceTable {
            table: "distribution",
            key: &["id"],
            rows: &[Rows::Container { by: &[("entitlement", "distribution_id")] }],
        },
        SliceTable { table: "entitlement", key: &["id"], rows: OF_HOUSEHOLD },
        SliceTable { table: "visit", key: &["id"], rows: OF_HOUSEHOLD },
    ],
    ..Slice::NONE
};
