//! The order of versions, and overlaps of ranges, as rpm decides them.

use std::cmp::Ordering;
use std::fs;

use onlay::package::Evr;
use onlay::package::relation::Relation;

use super::lab::{Lab, rpm};
use crate::debian::{expect_success, words};

#[test]
fn versions_are_in_rpms_order() {
    let Some(lab) = Lab::open() else { return };
    let mut random = fastrand::Rng::with_seed(17);
    let parts = [
        "1",
        "0",
        "01",
        "10",
        "a",
        "ab",
        "B",
        ".",
        "-",
        "_",
        "~",
        "^",
        ":",
        "rc",
        "é",
        "99999999999999999999",
    ];
    let mut version =
        || -> String { (0..random.usize(1..7)).map(|_| parts[random.usize(0..parts.len())]).collect() };
    let mut pairs: Vec<(String, String)> = (0..3000).map(|_| (version(), version())).collect();
    // Equal ones are rare by chance.
    pairs.extend((0..300).map(|_| version()).map(|one| (one.clone(), one.replace('.', "_"))));
    let quoted = |text: &str| format!("[==[{text}]==]");
    let call =
        |(one, other): &(String, String)| format!("print(rpm.vercmp({}, {}))\n", quoted(one), quoted(other));
    let calls = pairs.iter().map(call).collect::<Vec<_>>().concat();
    let script = lab.path("compare.lua");
    fs::write(&script, calls).expect("our directory");
    let answers = words(&expect_success(rpm("rpmlua", &lab.path("")).arg(&script)));
    let answers: Vec<&str> = answers.split_whitespace().collect();
    assert_eq!(answers.len(), pairs.len());
    for ((one, other), answer) in pairs.iter().zip(answers) {
        let expected = answer.parse::<i32>().expect("a number").cmp(&0);
        assert_eq!(Evr::parse(one).cmp(&Evr::parse(other)), expected, "'{one}' and '{other}'");
    }
    let is_antisymmetric = |(one, other): &(String, String)| {
        Evr::parse(one).cmp(&Evr::parse(other)) == Evr::parse(other).cmp(&Evr::parse(one)).reverse()
    };
    assert!(pairs.iter().all(is_antisymmetric));
    assert!(pairs.iter().any(|(one, other)| Evr::parse(one).cmp(&Evr::parse(other)) == Ordering::Equal));
}

#[test]
fn ranges_overlap_where_rpm_finds_no_problem() {
    let Some(lab) = Lab::open() else { return };
    // One package provides each name in one way, another requires it in many; rpm tells which of these it
    // finds unmet.
    let versions = ["1", "1-1", "1-2", "2", "1:1", "0:1-1", "1~rc", "1^x-1"];
    let provided: Vec<String> = versions
        .iter()
        .flat_map(|version| ["=", "<", ">=", ">"].map(|sign| format!("{sign} {version}")))
        .enumerate()
        .map(|(number, range)| format!("name{number} {range}"))
        .chain(["name99".to_owned()])
        .collect();
    let required: Vec<String> = provided
        .iter()
        .filter_map(|relation| relation.split(' ').next())
        .flat_map(|name| {
            let ranges = versions
                .iter()
                .flat_map(|version| ["=", "<", "<=", ">="].map(|sign| format!("{sign} {version}")));
            ranges.map(move |range| format!("{name} {range}"))
        })
        .collect();
    let unmet = unmet(&lab, &provided, &required);
    for want in &required {
        let wanted = Relation::parse(want).expect("a relation");
        let is_met = provided.iter().any(|one| Relation::parse(one).expect("a relation").overlaps(&wanted));
        assert_eq!(is_met, !unmet.contains(want), "{want}");
    }
    assert!(unmet.len() > 100 && required.len() - unmet.len() > 100, "{} of {}", unmet.len(), required.len());
}

/// What rpm misses when both are to be installed.
fn unmet(lab: &Lab, provided: &[String], required: &[String]) -> Vec<String> {
    let spec = |name: &str, tag: &str, relations: &[String]| {
        let lines: String = relations.iter().flat_map(|relation| [tag, ": ", relation, "\n"]).collect();
        format!(
            "Name: {name}\nVersion: 1\nRelease: 1\nSummary: x\nLicense: x\nBuildArch: noarch\n{lines}%description\nx\n%files\n"
        )
    };
    let place = lab.path("build");
    fs::create_dir(&place).expect("our directory");
    let mut packages = Vec::new();
    for (name, tag, relations) in [("provider", "Provides", provided), ("requirer", "Requires", required)] {
        let file = place.join(format!("{name}.spec"));
        fs::write(&file, spec(name, tag, relations)).expect("our directory");
        let mut build = rpm("rpmbuild", &place);
        build.args(["-bb", "--quiet", "--define", "_rpmfilename %{NAME}.rpm"]);
        build.arg("--define").arg(format!("_topdir {}", place.display()));
        expect_success(build.arg(&file));
        packages.push(place.join(format!("RPMS/{name}.rpm")));
    }
    fs::create_dir(lab.path("empty")).expect("our directory");
    let output = lab.rpm("rpm", "empty").args(["-i", "--test"]).args(&packages).output().expect("rpm starts");
    let said = words(&output);
    let problems = said.lines().filter_map(|line| line.trim().split_once(" is needed by requirer"));
    problems.map(|(relation, _)| relation.to_owned()).collect()
}
