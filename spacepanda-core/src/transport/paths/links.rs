use std::collections::{BTreeMap, VecDeque};

use crate::transport::{LinkId, TransportEvent};

/// A link as its own transport numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) transport: usize,
    pub(super) link: LinkId,
}

/// Numbers the links of several transports as those of one.
pub(super) struct Links {
    last: u64,
    numbers: BTreeMap<Place, LinkId>,
    places: BTreeMap<LinkId, Place>,
    ended: BTreeMap<Place, LinkId>,
    dialling: usize,
    going: Vec<bool>,
    waiting: VecDeque<TransportEvent>,
}

impl Links {
    pub(super) fn new(transports: usize) -> Self {
        Self {
            last: 0,
            numbers: BTreeMap::new(),
            places: BTreeMap::new(),
            ended: BTreeMap::new(),
            dialling: 0,
            going: vec![true; transports],
            waiting: VecDeque::new(),
        }
    }

    /// The number of a link that was made; the same each time.
    pub(super) fn made(&mut self, place: Place) -> LinkId {
        if let Some(number) = self.numbers.get(&place).or_else(|| self.ended.get(&place)) {
            return *number;
        }
        self.last += 1;
        let number = LinkId(self.last);
        self.numbers.insert(place, number);
        self.places.insert(number, place);
        number
    }

    pub(super) fn place(&self, number: LinkId) -> Option<Place> {
        self.places.get(&number).copied()
    }

    /// The event with the link's number here; none if it names a link that was never announced.
    pub(super) fn translate(
        &mut self,
        transport: usize,
        event: TransportEvent,
    ) -> Option<TransportEvent> {
        match event {
            TransportEvent::Connected(link) => {
                Some(TransportEvent::Connected(self.made(Place { transport, link })))
            }
            TransportEvent::Frame(link, frame) => {
                let number = *self.numbers.get(&Place { transport, link })?;
                Some(TransportEvent::Frame(number, frame))
            }
            TransportEvent::Disconnected(link, why) => {
                let number = self.end(Place { transport, link })?;
                Some(TransportEvent::Disconnected(number, why))
            }
        }
    }

    /// Ends every link of a transport that ended by itself.
    pub(super) fn stopped(&mut self, transport: usize) {
        self.going[transport] = false;
        let places: Vec<Place> =
            self.numbers.keys().filter(|place| place.transport == transport).copied().collect();
        for place in places {
            if let Some(number) = self.end(place) {
                let why = "the transport of this link was closed".to_owned();
                self.waiting.push_back(TransportEvent::Disconnected(number, why));
            }
        }
    }

    /// The next event that no transport has to be asked for.
    pub(super) fn waiting(&mut self) -> Option<TransportEvent> {
        self.waiting.pop_front()
    }

    /// The transports that have not ended.
    pub(super) fn going(&self) -> Vec<usize> {
        (0..self.going.len()).filter(|&transport| self.going[transport]).collect()
    }

    pub(super) fn dialling_begins(&mut self) {
        self.dialling += 1;
    }

    pub(super) fn dialling_ends(&mut self) {
        self.dialling -= 1;
        if self.dialling == 0 {
            self.ended.clear();
        }
    }

    fn end(&mut self, place: Place) -> Option<LinkId> {
        let number = self.numbers.remove(&place)?;
        self.places.remove(&number);
        if self.dialling > 0 {
            self.ended.insert(place, number);
        }
        Some(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_ends_before_its_connect_returns_keeps_its_number_and_leaves_nothing() {
        let mut links = Links::new(1);
        let place = Place { transport: 0, link: LinkId(7) };
        links.dialling_begins();
        let connected = links.translate(0, TransportEvent::Connected(LinkId(7)));
        assert_eq!(connected, Some(TransportEvent::Connected(LinkId(1))));
        assert!(
            links.translate(0, TransportEvent::Disconnected(LinkId(7), String::new())).is_some()
        );
        assert_eq!(links.made(place), LinkId(1));
        links.dialling_ends();
        assert_eq!(links.place(LinkId(1)), None);
        assert!(links.ended.is_empty() && links.numbers.is_empty());
    }

    #[test]
    fn events_of_a_link_that_was_never_announced_are_dropped() {
        let mut links = Links::new(1);
        assert_eq!(links.translate(0, TransportEvent::Frame(LinkId(1), "x".into())), None);
        let ended = TransportEvent::Disconnected(LinkId(1), String::new());
        assert_eq!(links.translate(0, ended), None);
    }
}
