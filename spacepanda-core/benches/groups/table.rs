//! How results are printed.

/// One result: ours beside the floor, what OpenMLS alone needs.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    pub(crate) ours: f64,
    pub(crate) floor: f64,
    /// What ours may be at most; none where it is only told.
    pub(crate) target: Option<f64>,
}

impl Row {
    fn ratio(&self) -> f64 {
        self.ours / self.floor
    }

    fn is_ok(&self) -> bool {
        self.target.is_none_or(|target| self.ours <= target)
    }
}

pub(crate) fn print(rows: &[Row]) {
    println!("{:<58} {:>10} {:>10} {:>6} {:>9}", "", "ours", "OpenMLS", "ratio", "target");
    for row in rows {
        let Row { name, unit, ours, floor, .. } = row;
        let target = row.target.map_or_else(String::new, |target| target.to_string());
        let verdict = if row.is_ok() { "" } else { "  MISSED" };
        let ratio = row.ratio();
        println!("{name:<58} {ours:>10.1} {floor:>10.1} {ratio:>6.2} {target:>9} {unit}{verdict}");
    }
}

pub(crate) fn print_json(rows: &[Row]) {
    for row in rows {
        let target = row.target.map_or_else(|| "null".into(), |target| target.to_string());
        println!(
            r#"{{"row":"{}, {}","ours":{:.3},"floor":{:.3},"ratio":{:.3},"target":{target},"ok":{}}}"#,
            row.name,
            row.unit,
            row.ours,
            row.floor,
            row.ratio(),
            row.is_ok()
        );
    }
}
