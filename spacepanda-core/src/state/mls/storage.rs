//! OpenMLS's storage trait over an [`Overlay`].

use openmls_traits::storage::{CURRENT_VERSION as V, StorageProvider, traits};

use super::overlay::{Overlay, RowError, decode, encode, row_key};

const OWN_LEAF_NODES: &str = "own-leaf-nodes";
const PROPOSALS: &str = "proposals";
const EPOCH_KEYS: &str = "epoch-keys";

/// Proposals that wait, each with its reference, encoded: what lists them does not know their types.
type Queue = Vec<(Vec<u8>, Vec<u8>)>;

/// Writes of one value under one key. The type parameters stand in the order of the trait.
macro_rules! writes {
    ($($label:literal $name:ident<$($kind:ident),*>($key:ident, $value:ident);)*) => {$(
        fn $name<$($kind: traits::$kind<V>),*>(&self, key: &$key, value: &$value) -> Result<(), RowError> {
            self.write(row_key($label, key)?, value)
        }
    )*};
}

/// Reads of one value under one key.
macro_rules! reads {
    ($($label:literal $name:ident<$($kind:ident),*>($key:ident) -> $value:ident;)*) => {$(
        fn $name<$($kind: traits::$kind<V>),*>(&self, key: &$key) -> Result<Option<$value>, RowError> {
            self.read(&row_key($label, key)?)
        }
    )*};
}

/// Deletions of one key.
macro_rules! deletes {
    ($($label:expr, $name:ident<$kind:ident>;)*) => {$(
        fn $name<$kind: traits::$kind<V>>(&self, key: &$kind) -> Result<(), RowError> {
            self.delete(&row_key($label, key)?);
            Ok(())
        }
    )*};
}

impl StorageProvider<V> for Overlay {
    type Error = RowError;

    writes! {
        "join-config" write_mls_join_config<GroupId, MlsGroupJoinConfig>(GroupId, MlsGroupJoinConfig);
        "tree" write_tree<GroupId, TreeSync>(GroupId, TreeSync);
        "interim-hash" write_interim_transcript_hash<GroupId, InterimTranscriptHash>(GroupId, InterimTranscriptHash);
        "context" write_context<GroupId, GroupContext>(GroupId, GroupContext);
        "confirmation-tag" write_confirmation_tag<GroupId, ConfirmationTag>(GroupId, ConfirmationTag);
        "group-state" write_group_state<GroupState, GroupId>(GroupId, GroupState);
        "resumption-psks" write_resumption_psk_store<GroupId, ResumptionPskStore>(GroupId, ResumptionPskStore);
        "own-leaf-index" write_own_leaf_index<GroupId, LeafNodeIndex>(GroupId, LeafNodeIndex);
        "epoch-secrets" write_group_epoch_secrets<GroupId, GroupEpochSecrets>(GroupId, GroupEpochSecrets);
        "signature-key" write_signature_key_pair<SignaturePublicKey, SignatureKeyPair>(SignaturePublicKey, SignatureKeyPair);
        "encryption-key" write_encryption_key_pair<EncryptionKey, HpkeKeyPair>(EncryptionKey, HpkeKeyPair);
        "key-package" write_key_package<HashReference, KeyPackage>(HashReference, KeyPackage);
        "psk" write_psk<PskId, PskBundle>(PskId, PskBundle);
    }

    reads! {
        "join-config" mls_group_join_config<GroupId, MlsGroupJoinConfig>(GroupId) -> MlsGroupJoinConfig;
        "tree" tree<GroupId, TreeSync>(GroupId) -> TreeSync;
        "interim-hash" interim_transcript_hash<GroupId, InterimTranscriptHash>(GroupId) -> InterimTranscriptHash;
        "context" group_context<GroupId, GroupContext>(GroupId) -> GroupContext;
        "confirmation-tag" confirmation_tag<GroupId, ConfirmationTag>(GroupId) -> ConfirmationTag;
        "group-state" group_state<GroupState, GroupId>(GroupId) -> GroupState;
        "message-secrets" message_secrets<GroupId, MessageSecrets>(GroupId) -> MessageSecrets;
        "resumption-psks" resumption_psk_store<GroupId, ResumptionPskStore>(GroupId) -> ResumptionPskStore;
        "own-leaf-index" own_leaf_index<GroupId, LeafNodeIndex>(GroupId) -> LeafNodeIndex;
        "epoch-secrets" group_epoch_secrets<GroupId, GroupEpochSecrets>(GroupId) -> GroupEpochSecrets;
        "signature-key" signature_key_pair<SignaturePublicKey, SignatureKeyPair>(SignaturePublicKey) -> SignatureKeyPair;
        "encryption-key" encryption_key_pair<HpkeKeyPair, EncryptionKey>(EncryptionKey) -> HpkeKeyPair;
        "key-package" key_package<HashReference, KeyPackage>(HashReference) -> KeyPackage;
        "psk" psk<PskBundle, PskId>(PskId) -> PskBundle;
    }

    deletes! {
        "join-config", delete_group_config<GroupId>;
        "tree", delete_tree<GroupId>;
        "interim-hash", delete_interim_transcript_hash<GroupId>;
        "context", delete_context<GroupId>;
        "confirmation-tag", delete_confirmation_tag<GroupId>;
        "group-state", delete_group_state<GroupId>;
        "message-secrets", delete_message_secrets<GroupId>;
        "resumption-psks", delete_all_resumption_psk_secrets<GroupId>;
        "own-leaf-index", delete_own_leaf_index<GroupId>;
        "epoch-secrets", delete_group_epoch_secrets<GroupId>;
        "signature-key", delete_signature_key_pair<SignaturePublicKey>;
        "encryption-key", delete_encryption_key_pair<EncryptionKey>;
        "key-package", delete_key_package<HashReference>;
        "psk", delete_psk<PskId>;
        OWN_LEAF_NODES, delete_own_leaf_nodes<GroupId>;
    }

    fn write_message_secrets<
        GroupId: traits::GroupId<V>,
        MessageSecrets: traits::MessageSecrets<V>,
    >(
        &self,
        group: &GroupId,
        secrets: &MessageSecrets,
    ) -> Result<(), RowError> {
        if self.defers() {
            return Ok(());
        }
        self.write(row_key("message-secrets", group)?, secrets)
    }

    fn append_own_leaf_node<GroupId: traits::GroupId<V>, LeafNode: traits::LeafNode<V>>(
        &self,
        group: &GroupId,
        leaf: &LeafNode,
    ) -> Result<(), RowError> {
        let key = row_key(OWN_LEAF_NODES, group)?;
        let mut leaves: Vec<Vec<u8>> = self.read(&key)?.unwrap_or_default();
        leaves.push(encode(leaf)?);
        self.write(key, &leaves)
    }

    fn own_leaf_nodes<GroupId: traits::GroupId<V>, LeafNode: traits::LeafNode<V>>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<LeafNode>, RowError> {
        let leaves: Vec<Vec<u8>> = self.read(&row_key(OWN_LEAF_NODES, group)?)?.unwrap_or_default();
        leaves.iter().map(|leaf| decode(leaf)).collect()
    }

    fn queue_proposal<
        GroupId: traits::GroupId<V>,
        ProposalRef: traits::ProposalRef<V>,
        QueuedProposal: traits::QueuedProposal<V>,
    >(
        &self,
        group: &GroupId,
        reference: &ProposalRef,
        proposal: &QueuedProposal,
    ) -> Result<(), RowError> {
        let key = row_key(PROPOSALS, group)?;
        let mut queue: Queue = self.read(&key)?.unwrap_or_default();
        queue.push((encode(reference)?, encode(proposal)?));
        self.write(key, &queue)
    }

    fn queued_proposal_refs<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        group: &GroupId,
    ) -> Result<Vec<ProposalRef>, RowError> {
        let queue: Queue = self.read(&row_key(PROPOSALS, group)?)?.unwrap_or_default();
        queue.iter().map(|(reference, _)| decode(reference)).collect()
    }

    fn queued_proposals<
        GroupId: traits::GroupId<V>,
        ProposalRef: traits::ProposalRef<V>,
        QueuedProposal: traits::QueuedProposal<V>,
    >(
        &self,
        group: &GroupId,
    ) -> Result<Vec<(ProposalRef, QueuedProposal)>, RowError> {
        let queue: Queue = self.read(&row_key(PROPOSALS, group)?)?.unwrap_or_default();
        let proposals = queue.iter();
        proposals.map(|(reference, proposal)| Ok((decode(reference)?, decode(proposal)?))).collect()
    }

    fn remove_proposal<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        group: &GroupId,
        reference: &ProposalRef,
    ) -> Result<(), RowError> {
        let key = row_key(PROPOSALS, group)?;
        let removed = encode(reference)?;
        let mut queue: Queue = self.read(&key)?.unwrap_or_default();
        queue.retain(|(reference, _)| *reference != removed);
        self.write(key, &queue)
    }

    fn clear_proposal_queue<GroupId: traits::GroupId<V>, ProposalRef: traits::ProposalRef<V>>(
        &self,
        group: &GroupId,
    ) -> Result<(), RowError> {
        self.delete(&row_key(PROPOSALS, group)?);
        Ok(())
    }

    fn write_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<V>,
        EpochKey: traits::EpochKey<V>,
        HpkeKeyPair: traits::HpkeKeyPair<V>,
    >(
        &self,
        group: &GroupId,
        epoch: &EpochKey,
        leaf: u32,
        pairs: &[HpkeKeyPair],
    ) -> Result<(), RowError> {
        self.write(row_key(EPOCH_KEYS, &(group, epoch, leaf))?, pairs)
    }

    fn encryption_epoch_key_pairs<
        GroupId: traits::GroupId<V>,
        EpochKey: traits::EpochKey<V>,
        HpkeKeyPair: traits::HpkeKeyPair<V>,
    >(
        &self,
        group: &GroupId,
        epoch: &EpochKey,
        leaf: u32,
    ) -> Result<Vec<HpkeKeyPair>, RowError> {
        Ok(self.read(&row_key(EPOCH_KEYS, &(group, epoch, leaf))?)?.unwrap_or_default())
    }

    fn delete_encryption_epoch_key_pairs<
        GroupId: traits::GroupId<V>,
        EpochKey: traits::EpochKey<V>,
    >(
        &self,
        group: &GroupId,
        epoch: &EpochKey,
        leaf: u32,
    ) -> Result<(), RowError> {
        self.delete(&row_key(EPOCH_KEYS, &(group, epoch, leaf))?);
        Ok(())
    }
}
