import { Component, type ReactNode } from "react";

type State = { failure: Error | null };

/** Where a page cannot be shown, its place says so, and the header with its Stop stays. */
export class PageBoundary extends Component<{ children: ReactNode }, State> {
  override state: State = { failure: null };

  static getDerivedStateFromError(failure: Error): State {
    return { failure };
  }

  override render(): ReactNode {
    const { failure } = this.state;
    if (!failure) return this.props.children;
    return (
      <div className="banner error" role="alert">
        <p>This page could not be shown. Nothing else is affected by it.</p>
        <p className="small">{failure.message}</p>
        <button type="button" onClick={() => location.reload()}>
          Load everything anew
        </button>
      </div>
    );
  }
}
