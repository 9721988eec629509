macro_rules! capabilities {
    ($($(#[$doc:meta])* $variant:ident = $code:literal $name:literal,)*) => {
        /// What a role lets somebody do.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Capability {
            $($(#[$doc])* $variant = $code,)*
        }

        impl Capability {
            /// Every capability, by its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, as people and interfaces write it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

capabilities! {
    /// Everything below.
    Administrator = 0 "administrator",
    /// Change the server itself; void operations.
    ManageServer = 1 "manage_server",
    /// Make, change and delete roles.
    ManageRoles = 2 "manage_roles",
    /// Grant and revoke roles.
    AssignRoles = 3 "assign_roles",
    /// Make, change and delete channels.
    ManageChannels = 4 "manage_channels",
    /// Change overrides.
    ManagePermissions = 5 "manage_permissions",
    /// Issue invites.
    CreateInvite = 6 "create_invite",
    /// Revoke others' invites.
    ManageInvites = 7 "manage_invites",
    /// Remove members.
    KickMembers = 8 "kick_members",
    /// Remove members and shut the door to them.
    BanMembers = 9 "ban_members",
    /// Silence members for a time.
    TimeoutMembers = 10 "timeout_members",
    /// Change others' nicknames.
    ManageNicknames = 11 "manage_nicknames",
    /// Change one's own nickname.
    ChangeNickname = 12 "change_nickname",
    /// See a channel and read what is written in it.
    ViewChannel = 13 "view_channel",
    /// Read what was written before one came.
    ReadMessageHistory = 14 "read_message_history",
    /// Write messages.
    SendMessages = 15 "send_messages",
    /// Have links shown with a preview.
    EmbedLinks = 16 "embed_links",
    /// Attach files.
    AttachFiles = 17 "attach_files",
    /// React to messages.
    AddReactions = 18 "add_reactions",
    /// Mention everyone.
    MentionEveryone = 19 "mention_everyone",
    /// Mention roles.
    MentionRoles = 20 "mention_roles",
    /// Delete others' messages.
    ManageMessages = 21 "manage_messages",
    /// Pin messages.
    PinMessages = 22 "pin_messages",
    /// Make threads.
    CreateThreads = 23 "create_threads",
    /// Manage threads.
    ManageThreads = 24 "manage_threads",
    /// Write in threads.
    SendInThreads = 25 "send_in_threads",
    /// Manage emoji.
    ManageEmoji = 26 "manage_emoji",
    /// Write without waiting where slow mode is on.
    BypassSlowMode = 27 "bypass_slow_mode",
    /// See who did what.
    ViewAuditLog = 28 "view_audit_log",
}
