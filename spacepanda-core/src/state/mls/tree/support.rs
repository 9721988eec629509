use super::{CommitTree, View, roster::Roster};

/// A set of people, by their numbers in the tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct People(Vec<u64>);

impl People {
    pub(super) fn insert(&mut self, person: usize) {
        let word = person / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (person % 64);
    }

    pub(super) fn contains(&self, person: usize) -> bool {
        self.0.get(person / 64).is_some_and(|word| word & (1 << (person % 64)) != 0)
    }

    pub(super) fn count_in(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).map(|(a, b)| (a & b).count_ones() as usize).sum()
    }

    fn extend(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }
}

/// Who supports each commit: everybody who wrote a commit or vote that counts at it or below it.
///
/// Commits that are void or invalid still say where their authors stood, so they support what is above
/// them. False claims can tie the tree into a graph with cycles; whatever lies on one cycle has the same
/// support, so the graph is taken apart into its strongly connected components (Tarjan 1972), without
/// recursion, in time linear in commits and votes.
pub(super) struct Support {
    component: Vec<usize>,
    sets: Vec<People>,
}

impl Support {
    pub(super) fn of(tree: &CommitTree, view: &dyn View) -> Self {
        let edges: Vec<Vec<usize>> = tree
            .nodes
            .iter()
            .map(|node| tree.below(view, node.commit.child, node.commit.envelope).collect())
            .collect();
        let mut search = Search::new(&edges);
        let mut sets = Vec::new();
        for start in 0..edges.len() {
            search.from(start, &mut |members, component| {
                sets.push(union(tree, view, &edges, members, component, &sets));
            });
        }
        Self { component: search.component, sets }
    }

    /// Who supports the commit at this place.
    pub(super) fn at(&self, place: usize) -> &People {
        &self.sets[self.component[place]]
    }
}

impl CommitTree {
    /// The numbers of those in a roster who ever wrote anything; the others support nothing.
    pub(super) fn numbers(&self, roster: &Roster) -> People {
        let mut people = People::default();
        for number in roster.people().filter_map(|identity| self.people.get(identity)) {
            people.insert(*number);
        }
        people
    }

    fn own_supporters(&self, view: &dyn View, place: usize, into: &mut People) {
        let node = &self.nodes[place];
        let commit = &node.commit;
        if view.counts(&commit.envelope) {
            into.insert(node.person);
        }
        for envelope in self.votes_for.get(&commit.child).into_iter().flatten() {
            let meant = self.means(view, envelope, &commit.child, &commit.envelope);
            if meant && view.counts(envelope) {
                into.insert(self.people[&self.votes[envelope].identity]);
            }
        }
    }
}

fn union(
    tree: &CommitTree,
    view: &dyn View,
    edges: &[Vec<usize>],
    members: &[usize],
    component: &[usize],
    done: &[People],
) -> People {
    let mut people = People::default();
    for member in members {
        tree.own_supporters(view, *member, &mut people);
        for below in edges[*member].iter().filter_map(|next| done.get(component[*next])) {
            people.extend(below);
        }
    }
    people
}

const UNSEEN: usize = usize::MAX;

/// Tarjan's search with a stack of its own. Components are found bottom up, so those below one are done
/// when it is found.
struct Search<'a> {
    edges: &'a [Vec<usize>],
    index: Vec<usize>,
    low: Vec<usize>,
    component: Vec<usize>,
    open: Vec<usize>,
    seen: usize,
    found: usize,
}

impl<'a> Search<'a> {
    fn new(edges: &'a [Vec<usize>]) -> Self {
        let unseen = vec![UNSEEN; edges.len()];
        Self {
            edges,
            index: unseen.clone(),
            low: unseen.clone(),
            component: unseen,
            open: Vec::new(),
            seen: 0,
            found: 0,
        }
    }

    fn from(&mut self, start: usize, close: &mut dyn FnMut(&[usize], &[usize])) {
        if self.index[start] != UNSEEN {
            return;
        }
        let mut stack = vec![(start, 0)];
        self.enter(start);
        while let Some((node, next)) = stack.last_mut() {
            let node = *node;
            if let Some(below) = self.edges[node].get(*next).copied() {
                *next += 1;
                if self.index[below] == UNSEEN {
                    self.enter(below);
                    stack.push((below, 0));
                } else if self.component[below] == UNSEEN {
                    self.low[node] = self.low[node].min(self.index[below]);
                }
                continue;
            }
            stack.pop();
            if let Some((above, _)) = stack.last() {
                self.low[*above] = self.low[*above].min(self.low[node]);
            }
            if self.low[node] == self.index[node] {
                self.close(node, close);
            }
        }
    }

    fn enter(&mut self, node: usize) {
        self.index[node] = self.seen;
        self.low[node] = self.seen;
        self.seen += 1;
        self.open.push(node);
    }

    fn close(&mut self, node: usize, close: &mut dyn FnMut(&[usize], &[usize])) {
        let at = self.open.iter().rposition(|open| *open == node);
        let members = self.open.split_off(at.expect("a node is open until its component closes"));
        for member in &members {
            self.component[*member] = self.found;
        }
        self.found += 1;
        close(&members, &self.component);
    }
}
