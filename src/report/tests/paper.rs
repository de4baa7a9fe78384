//! Tables for papers, and what a reader chooses to see.

use super::{board, small};
use crate::report::{Exporter, Latex, Leaderboard, Markdown, Terminal, Typst, View};

fn viewed(view: View) -> Leaderboard {
    let mut leaderboard = board(&[("run", small())]);
    leaderboard.view = view;
    leaderboard
}

#[test]
fn latex_has_the_rules_of_booktabs_and_a_caption_that_says_enough() {
    let text = Latex.export(&viewed(View::default())).unwrap();
    insta::assert_snapshot!(text, @r##"
    % \usepackage{booktabs}
    \begin{table}
      \centering
      \caption{Robustness on digits, 8 images of 1$\times$8$\times$8. Accuracies in percent of all images. Worst case over pgd-linf 0.1, cw-l2 0.3, cw-l2 0.5, patch-rs. Wilson intervals of 95 \%. Computed with epsball 0.1.0.}
      \label{tab:small}
      \begin{tabular}{rlrrrrrrrr}
        \toprule
        \# & model & clean & Linf 0.1 & L2 0.3 & L2 0.5 & patch 2x2 & worst case & 95 \% interval & certified L2 0.25 \\
        \midrule
        1 & robust & 87.5 & \textbf{75.0} & \textbf{87.5} & \textbf{62.5} & \textbf{75.0} & \textbf{50.0} & 21.5--78.5 & \textbf{75.0} \\
        2 & plain & \textbf{100.0} & 12.5 & 62.5 & 12.5 & 62.5 & 12.5 & 2.2--47.1 & 37.5 \\
        \bottomrule
      \end{tabular}
    \end{table}
    "##);
}

#[test]
fn typst_says_the_same() {
    let text = Typst.export(&viewed(View::default())).unwrap();
    insta::assert_snapshot!(text, @r##"
    #figure(
      table(
        columns: 10,
        align: (right, left, right, right, right, right, right, right, right, right,),
        stroke: none,
        table.hline(),
        table.header([\#], [model], [clean], [Linf 0.1], [L2 0.3], [L2 0.5], [patch 2x2], [worst case], [95 % interval], [certified L2 0.25]),
        table.hline(stroke: 0.5pt),
        [1], [robust], [87.5], [*75.0*], [*87.5*], [*62.5*], [*75.0*], [*50.0*], [21.5–78.5], [*75.0*],
        [2], [plain], [*100.0*], [12.5], [62.5], [12.5], [62.5], [12.5], [2.2–47.1], [37.5],
        table.hline(),
      ),
      caption: [Robustness on digits, 8 images of 1×8×8. Accuracies in percent of all images. Worst case over pgd\-linf 0.1, cw\-l2 0.3, cw\-l2 0.5, patch\-rs. Wilson intervals of 95 %. Computed with epsball 0.1.0.],
    ) <tab-small>
    "##);
}

#[test]
fn names_of_others_are_text_in_every_format() {
    let mut leaderboard = viewed(View::default());
    leaderboard.boards[0].standings[0].entrant.model.name = "a_b & 50% #1 {x} \\y <z> $".into();
    let latex = Latex.export(&leaderboard).unwrap();
    let shown = r"a\_b \& 50\% \#1 \{x\} \textbackslash{}y \textless{}z\textgreater{} \$ &";
    assert!(latex.contains(shown), "{latex}");
    let typst = Typst.export(&leaderboard).unwrap();
    assert!(typst.contains(r"[a\_b & 50% \#1 {x} \\y \<z\> \$]"), "{typst}");
}

#[test]
fn columns_order_and_digits_are_chosen() {
    let view = View {
        columns: vec!["clean".into(), "Worst Case".into()],
        sort: Some("-worst case".into()),
        digits: Some(3),
    };
    let leaderboard = viewed(view.clone());
    view.check(&leaderboard.boards).unwrap();
    let text = Markdown.export(&leaderboard).unwrap();
    let table: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).take(4).collect();
    assert_eq!(
        table,
        [
            "| model  |       clean | worst case |",
            "| ------ | ----------: | ---------: |",
            "| plain  | **100.000** |     12.500 |",
            "| robust |      87.500 | **50.000** |",
        ]
    );
    let by = |sort: &str| {
        let text = Markdown.export(&viewed(View { sort: Some(sort.into()), ..View::default() }));
        let text = text.unwrap();
        let of = |name: &str| text.find(&format!("| {name}")).unwrap();
        of("plain") < of("robust")
    };
    assert!(by("clean") && !by("-clean") && by("model") && !by("-model") && !by("#") && by("-#"));
    let shown = Terminal { width: 100, colour: false }.export(&leaderboard).unwrap();
    assert!(shown.contains("100.000") && !shown.contains("95 %"), "{shown}");
    for wrong in ["wurst", "-wurst"] {
        let view = View { sort: Some(wrong.into()), ..View::default() };
        let error = view.check(&leaderboard.boards).unwrap_err();
        assert_eq!(error.to_string(), "unknown column `wurst`");
        assert!(error.hint().unwrap().contains("worst case"));
    }
}
