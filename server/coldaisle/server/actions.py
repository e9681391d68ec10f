"""Who carries an action out: the server itself, or the agent near the device."""

from coldaisle.core.actions import ActionRequest, ActionResult
from coldaisle.integrations.notify import NotifyActions
from coldaisle.server.hub import AgentHub

LOCAL_ACTIONS = frozenset({"notify"})


class ActionRouter:
    """Fits the runner's Actions."""

    def __init__(self, hub: AgentHub) -> None:
        self._hub = hub
        self._notify = NotifyActions()

    async def carry_out(self, request: ActionRequest) -> ActionResult:
        """Notifications leave from here; what touches a device goes to its agent."""
        carrier = self._notify if request.action in LOCAL_ACTIONS else self._hub
        return await carrier.carry_out(request)
