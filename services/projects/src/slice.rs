//! What is held of a community project, for when it passes to another custodian. Campaigns stay with whoever held them.

use tahuka_chassis::custody::{Owned, Rows, Slice, SliceTable, UnitKind};

const OF_PROJECT: &[Rows] = &[Rows::Of { kind: UnitKind::Project, column: "project_id" }];

pub static SLICE: Slice = Slice {
    owns: Some(Owned { kind: UnitKind::Project, table: "project", numbered: true }),
    tables: &[
        SliceTable { table: "project", key: &["id"], rows: &[Rows::Of { kind: UnitKind::Project, column: "id" }] },
        SliceTable { table: "facility", key: &["id"], rows: OF_PROJECT },
        SliceTable { table: "progress", key: &["id"], rows: OF_PROJECT },
        SliceTable { table: "people_served", key: &["id"], rows: OF_PROJECT },
    ],
    ..Slice::NONE
};
