"""`evenkeel policy node`: who inherits from whom."""

from typing import Annotated

import typer

from evenkeel.policy.v1 import policy_service_pb2 as pb
from tools.cli.context import call, out, show, table
from tools.cli.policy import Node
from tools.cli.text import state, time
from tools.client.session import Evenkeel
from tools.client.values import new_request_id

app = typer.Typer(help="The tree: who inherits from whom.", no_args_is_help=True)

Kind = Annotated[str, typer.Option(help="firm, program, model, household or account.")]


@app.command("list")
def list_nodes(
    context: typer.Context,
    parent: Annotated[str, typer.Option(help="Only those directly under this node.")] = "",
    kind: Kind = "",
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 100,
) -> None:
    """List nodes by id."""
    request = pb.ListNodesRequest(parent_id=parent, page_size=count)
    if kind:
        request.kind = _kind_named(kind)
    response = call(context, "compliance_officer", lambda services: services.policy.ListNodes(request))

    def readable() -> None:
        rows = table("Nodes", "node", "kind", "under", "name", "since")
        for each in response.nodes:
            rows.add_row(each.node_id, _kind(each), each.parent_id, each.display_name, time(each.create_time))
        out.print(rows)
        if response.next_page_token:
            out.print("there are more")

    show(context, response.nodes, readable)


@app.command("show")
def show_node(context: typer.Context, node: Node) -> None:
    """Show a node."""
    request = pb.GetNodeRequest(node_id=node)
    response = call(context, "compliance_officer", lambda services: services.policy.GetNode(request))
    show(context, response.node, lambda: _one(response.node))


@app.command()
def create(
    context: typer.Context,
    node: Node,
    kind: Kind,
    parent: Annotated[str, typer.Option(help="The node above; none for the firm.")] = "",
    name: Annotated[str, typer.Option(help="Name, for people.")] = "",
) -> None:
    """Create a node."""
    created = pb.PolicyNode(node_id=node, kind=_kind_named(kind), parent_id=parent, display_name=name)
    request = pb.CreateNodeRequest(request_id=new_request_id(), node=created)
    response = call(context, "platform_engineer", lambda services: services.policy.CreateNode(request))
    show(context, response.node, lambda: _one(response.node))


@app.command()
def delete(context: typer.Context, node: Node) -> None:
    """Delete a node that has no children, and for which no change was ever written."""

    async def work(services: Evenkeel) -> pb.PolicyNode:
        found = (await services.policy.GetNode(pb.GetNodeRequest(node_id=node))).node
        await services.policy.DeleteNode(
            pb.DeleteNodeRequest(request_id=new_request_id(), node_id=node, etag=found.etag)
        )
        return found

    deleted = call(context, "platform_engineer", work)
    show(context, deleted, lambda: out.print(f"deleted {deleted.node_id}", highlight=False))


def _one(node: pb.PolicyNode) -> None:
    under = f", under {node.parent_id}" if node.parent_id else ""
    name = f" “{node.display_name}”" if node.display_name else ""
    out.print(f"{node.node_id}{name}: {_kind(node)}{under}, since {time(node.create_time)}", highlight=False)


def _kind(node: pb.PolicyNode) -> str:
    return state(pb.PolicyNode.Kind.DESCRIPTOR, node.kind)


def _kind_named(name: str) -> pb.PolicyNode.Kind.ValueType:
    names = {state(pb.PolicyNode.Kind.DESCRIPTOR, each): each for each in pb.PolicyNode.Kind.values() if each}
    found = names.get(name.lower())
    if found is None:
        raise typer.BadParameter(f"must be one of {', '.join(names)}, was {name}", param_hint="--kind")
    return found
