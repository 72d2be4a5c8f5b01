//! What the registry holds of a household, for when the household passes to another custodian.

use tahuka_chassis::custody::{Owned, Rows, Slice, SliceTable, UnitKind};

const OF_HOUSEHOLD: &[Rows] = &[Rows::Of { kind: UnitKind::Household, column: "household_id" }];

pub static SLICE: Slice = Slice {
    owns: Some(Owned { kind: UnitKind::Household, table: "household", numbered: true }),
    tables: &[
        SliceTable {
            table: "criteria_set",
            key: &["id"],
            rows: &[Rows::Referenced { by: &[("assessment", "criteria_set_id")] }],
        },
        SliceTable { table: "household", key: &["id"], rows: &[Rows::Of { kind: UnitKind::Household, column: "id" }] },
        SliceTable { table: "individual", key: &["id"], rows: OF_HOUSEHOLD },
        SliceTable { table: "return_episode", key: &["id"], rows: OF_HOUSEHOLD },
        SliceTable { table: "consent", key: &["id"], rows: OF_HOUSEHOLD },
        SliceTable { table: "assessment", key: &["id"], rows: OF_HOUSEHOLD },
        SliceTable { table: "import_run", key: &["id"], rows: &[Rows::Referenced { by: &[("submission", "import_id")] }] },
        // Who has sent what stays so, whoever has the person: the file may come again.
        SliceTable { table: "submission", key: &["id"], rows: &[Rows::Through { column: "individual_id", table: "individual" }] },
    ],
    release: Some(crate::import::held::release),
    ..Slice::NONE
};
